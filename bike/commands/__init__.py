"""The ``bike`` commands, one file each: options, help with examples, and one call of the library."""
