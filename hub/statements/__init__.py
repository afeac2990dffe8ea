"""Statements: what was booked on an account, with the proofs of it, for the account's holder."""
