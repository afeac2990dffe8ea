"""The hub: takes signed messages in, appends them, folds them, and commands relays by lease."""
