"""Videos to frame packs: parallel, resumable, every reject with its reason."""
