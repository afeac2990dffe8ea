"""Measurements of speed and size: `python -m bench` runs them one after another."""
