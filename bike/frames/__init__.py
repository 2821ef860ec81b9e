"""Where the loader's frames come from: packs, folders, shards here or behind a URL, videos."""
