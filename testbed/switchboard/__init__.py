"""The fault switchboard of a running demo: named faults, switched from a terminal or a page."""
