"""Simulated relay boards and contacts."""
