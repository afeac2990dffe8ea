"""Where private keys live. A key signs here and never leaves; messages/ checks what it signed."""
