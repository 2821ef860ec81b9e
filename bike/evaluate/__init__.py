"""Scores, metrics and the files that hold them: video branch, zero-shot, attributes, fusion."""
