"""Is it all true: a ledger folded again from its bytes, and every bill recomputed."""
