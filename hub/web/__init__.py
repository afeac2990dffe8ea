"""What people and programs may look at: one page, REST under `/api/v1`, metrics, health.

A process and broker client of its own. It verifies live samples itself, opens the ledger read-only
in short transactions, holds no key, and changes nothing.
"""
