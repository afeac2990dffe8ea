"""Every market contract over the same homes: what each costs whom, and whom it serves."""
