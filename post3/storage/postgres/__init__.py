"""Keeping in PostgreSQL: rows and bytes in one database."""
