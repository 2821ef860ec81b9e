"""The generated data set: short videos whose classes order and motion tell apart."""
