"""Source files: finding them, and decoding every sound picture with an account of the rest."""
