"""Simulated SunSpec devices: a chain of models, block by block."""
