"""Commands: what each finds out or does, and how it is said."""
