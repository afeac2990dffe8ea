"""Look for meters that do not fit the others: hints with evidence, off the ledger, in floats.

Nobody is accused: a finding says which numbers do not agree, and what to check.
"""
