"""A DVC project for a data set: what `bike init` writes, and what its stages need besides the library."""
