"""A package, so that its Ray ends with its last test and not with the last of all."""
