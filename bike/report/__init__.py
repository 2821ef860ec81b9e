"""The HTML page and the table of results."""
