"""How words and levels travel: the sole importers of pyserial, smbus2 and gpiozero."""
