"""Lists and frame packs to tar shards that change little when a data set grows."""
