"""What keeps a ledger well over the years: copies, snapshots, an end for old telemetry."""
