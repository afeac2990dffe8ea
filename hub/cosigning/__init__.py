"""The hub's side of witnesses: show them each new head, gather what they cosign, compare at start.

One thread a witness speaks HTTP; everything else happens in the hub's loop.
"""
