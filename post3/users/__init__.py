"""Users and their keys: kept in the store, read from a file, and known to each process."""
