"""What a member and a doubter run. It needs messages and keys: no hub, no database, no network."""
