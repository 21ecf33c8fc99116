"""Moving: all that is in one store, or behind one S3 endpoint, into another.

Both sides show what they hold in the model's own terms (`sides.py`): a `Whole` is a version with its parts, wherever it
comes from. For each key the versions of both sides are laid side by side, oldest first, and a pure function says what
is to be done (`planning.py`). Nothing is remembered beside the two: what is in the target already, and equal, is not
copied again, so a copy that was stopped goes on where it was, and a second one brings only what has changed.

Bytes are compared with the digests in the source's record while they are read, before anything can see them in the
target. What then stands in the target is read back and compared with the source's record (`comparing.py`). A difference
that the target cannot avoid, such as a date on an S3 endpoint, is a *loss*, and told as that; any other is a failure.
"""
