"""JSON and YAML of unknown origin: as plain values, and as sections with a schema."""
