"""The attribute corpus: which phrases of a lexicon describe each video."""
