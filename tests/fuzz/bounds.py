"""How far a random test goes."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

bounded = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A few seconds at most for each test; `--hypothesis-seed` repeats one. No deadline: machines stall."""
