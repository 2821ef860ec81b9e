"""What this machine offers, and a quick look at a data set."""
