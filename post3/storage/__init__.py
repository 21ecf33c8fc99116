"""Keeping: the protocol that every store fulfils, and the stores."""
