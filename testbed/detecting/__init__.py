"""How often the detector of `hub/watching` is right and wrong: seeded microgrids with one liar."""
