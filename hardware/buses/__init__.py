"""How words and levels travel: the sole importers of pymodbus, smbus2 and gpiozero."""
