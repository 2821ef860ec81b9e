"""Benchmarks that compare two things in one run and report the ratio of medians."""
