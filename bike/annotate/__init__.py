"""Official annotation files to lists: class names, splits, and an audit of what does not fit the videos."""
