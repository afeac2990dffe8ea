"""Between the hub and its nodes: bytes, messages, who said what, and what is owed to whom."""
