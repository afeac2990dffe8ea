"""Relays, one file a kind. A relay is energised or not; what that means for a load is wiring."""
