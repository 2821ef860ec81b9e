"""Video recognition with CLIP after BIKE (CVPR 2023), as a reproducible pipeline."""
