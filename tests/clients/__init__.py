"""Real clients against a real post3: the same round by each client's defaults, in every way that leads to a server."""
