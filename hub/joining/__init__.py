"""How nodes join: pairing, the small certificate authority, and what the broker must know of it."""
