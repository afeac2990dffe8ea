"""From four wires and an unknown device to a configured one: decode, probe, scan, trace, replay."""
