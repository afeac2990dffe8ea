"""The shipped scenarios, as files like a user's own."""
