"""Simulated charge controllers on Modbus, and the day they remember."""
