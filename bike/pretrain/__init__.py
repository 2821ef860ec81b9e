"""The small CLIPs of the demo, trained on rendered stills in the place of the official weights."""
