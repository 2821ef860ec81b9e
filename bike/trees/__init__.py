"""Sections of YAML files with a schema, and values over those of a file."""
