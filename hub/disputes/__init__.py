"""Disputes as people see them: which line, with which proof, and what became of it."""
