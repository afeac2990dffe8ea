"""Charge controllers, one file a family: generation as export, and the battery beside it."""
