"""Simulated devices that speak at wire level, so that the production drivers run unchanged.

No file here reads a driver's register table: both being wrong together is the fault that a
simulator exists to catch.
"""
