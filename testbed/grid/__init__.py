"""What stands on the simulated bus, part by part: pure, in integers, conserving energy."""
