"""Facts from outside: enrolling who tells them, telling them, showing them."""
