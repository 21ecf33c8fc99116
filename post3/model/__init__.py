"""Meaning: frozen dataclasses and pure functions; no I/O, no HTTP."""
