"""The commands that make a project and look after it."""
