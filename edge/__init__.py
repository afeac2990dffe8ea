"""The agent and the guard on a Pi.

The agent samples meters, signs what they say, keeps it on disk and forwards it. The guard is a process
of its own that owns the relays and obeys nothing but a fresh lease signed by the hub.
"""
