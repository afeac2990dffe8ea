"""The fault suite: faults on running processes, and whether everything held that is promised."""
