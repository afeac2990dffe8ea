"""Members' orders, for people: commands, what lies in the book, and what became of each."""
