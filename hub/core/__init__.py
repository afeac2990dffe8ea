"""The pure heart of the hub: a fold over ledger entries. Same entries, same state, anywhere."""
