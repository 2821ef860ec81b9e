"""One reader for each data set's official annotation, in its authors' own form."""
