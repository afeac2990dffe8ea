"""What crosses the broker and what the ledger holds: readings, receipts, leases, keys, proofs.

Everything here is pure: bytes to values and back. It reads no clock, no file and no network, so
that an edge, a hub and a doubter compute the same answer from the same bytes.
"""
