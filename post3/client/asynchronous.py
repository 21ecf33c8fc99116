"""AsyncClient: the same as Client, over aiobotocore."""
