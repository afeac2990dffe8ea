"""The regulator's investigations, for people: commands, and the notice that an owner gets."""
