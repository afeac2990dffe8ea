"""Scenarios played on virtual time in one process, and scored: ours beside what others do."""
