"""Simulated Victron devices that talk VE.Direct, text and HEX."""
