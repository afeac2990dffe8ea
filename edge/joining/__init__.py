"""How a node joins a microgrid, and how it gives itself new keys."""
