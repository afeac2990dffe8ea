"""Simulated wires: I2C, Modbus TCP and RTU, terminals, pins, and the socket that carries them."""
