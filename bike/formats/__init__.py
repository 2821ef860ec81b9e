"""The files in which stages meet: frame packs, shards, lists, folders of frames."""
