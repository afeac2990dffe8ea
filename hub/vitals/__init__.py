"""How the hub is: measured, told to other processes, and put in words for a person."""
