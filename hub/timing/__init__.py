"""What moves the hub's time on: a wall clock, or the testbed's instants."""
