"""`gridtally-edge calibrate`: what a meter's device says is compared to a reference and corrected.

Coefficients are whole numbers, kept in the outbox, applied by the agent before it integrates, and
signed onto the ledger. Counters of a device are never altered.
"""
