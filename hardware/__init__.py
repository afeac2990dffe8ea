"""Everything that touches a wire: buses, meters, charge controllers, relays, and their simulators.

Knows no key, no broker and no ledger: what leaves this package is a `Sample` in integers.
"""
