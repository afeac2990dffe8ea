"""Energy meters, one file a model: a table of registers and a `sample()`."""
