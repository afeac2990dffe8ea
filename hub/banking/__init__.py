"""What people see of the bank and ask of it; the rules are the fold's (`hub.core.banking`)."""
