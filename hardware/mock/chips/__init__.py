"""Simulated chips on I2C, register by register."""
