"""All that a store in memory holds: to be compared, and brought back."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeAlias

from post3.storage.memory import MemoryBackend

Everything: TypeAlias = dict[str, Any]
"""By attribute. What changes in a store are its dictionaries and what holds them; all else is frozen."""


def everything(backend: MemoryBackend) -> Everything:
    """Buckets with their configurations, versions, uploads, parts, bytes, records, journal and ledger, as they are."""
    return {name: _kept(value) for name, value in vars(backend).items()}


def bring_back(backend: MemoryBackend, kept: Everything) -> None:
    """Make the store hold what it held then."""
    vars(backend).update({name: _kept(value) for name, value in kept.items()})


def _kept(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _kept(item) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type) and not value.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        return replace(value, **{field.name: _kept(getattr(value, field.name)) for field in fields(value)})
    return value
