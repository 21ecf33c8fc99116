"""A store in a directory: percent-encoded names, JSON sidecars, atomic renames, and an index derived from them."""
