"""Records that are kept off the ledger: ciphertext in stores, keys with the hub, grants on it."""
