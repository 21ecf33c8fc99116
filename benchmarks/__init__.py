"""How fast post3 is, and others beside it: `run.py` measures servers, `micro.py` and `chunker.py` parts of post3."""
