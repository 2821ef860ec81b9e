"""CLIP's two towers, the heads on top of them, and a run's choice of model."""
