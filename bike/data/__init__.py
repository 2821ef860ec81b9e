"""Samples to batches: which frames, which pixels, in which order."""
