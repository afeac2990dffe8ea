"""The append-only log on disk, what stands beside it, and the programs that check and copy it."""
