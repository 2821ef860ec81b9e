"""The parts of the two towers."""
