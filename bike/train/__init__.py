"""One loop for every branch; loss, schedule, curves."""
