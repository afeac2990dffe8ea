"""The agent and the guard on a Raspberry Pi: measure, sign, keep, forward; and hold the relays."""
