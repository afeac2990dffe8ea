"""Where private keys live. A key signs here and never leaves; what it signed is checked in messages/."""
