"""The report of a copy: what was done, what was there, what failed, and what could not be kept, bucket by bucket."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

EXAMPLES: Final = 3
"""Of each finding, so many are named; all are counted."""


@dataclass(slots=True)
class Finding:
    """One kind of thing that was found: how often, and where first."""

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, example: str) -> None:
        """One more."""
        self.count += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(example)

    def document(self) -> dict[str, Any]:
        """As JSON tells it."""
        return {"count": self.count, "examples": self.examples}


class Findings(dict[str, Finding]):
    """Findings by what they are."""

    def add(self, what: str, example: str) -> None:
        """One more of a kind."""
        self.setdefault(what, Finding()).add(example)

    @property
    def count(self) -> int:
        """Of all kinds."""
        return sum(finding.count for finding in self.values())

    def document(self) -> dict[str, Any]:
        """As JSON tells them."""
        return {what: finding.document() for what, finding in self.items()}


@dataclass(slots=True)
class BucketReport:
    """What became of one bucket."""

    name: str
    copied: int = 0
    """Versions, and markers."""
    replaced: int = 0
    """Of these, so many took the place of others."""
    amended: int = 0
    """Versions whose bytes were right, and whose record was not."""
    equal: int = 0
    """Versions that were there already."""
    deleted: int = 0
    gone: int = 0
    """Versions that the source lost meanwhile."""
    bytes: int = 0
    lost: Findings = field(default_factory=Findings)
    """What the target could not keep."""
    different: Findings = field(default_factory=Findings)
    """What the target has otherwise, and was left as it is."""
    failed: Findings = field(default_factory=Findings)

    def document(self) -> dict[str, Any]:
        """As JSON tells it."""
        counts = ("copied", "replaced", "amended", "equal", "deleted", "gone", "bytes")
        return {
            "bucket": self.name,
            **{name: getattr(self, name) for name in counts},
            "lost": self.lost.document(),
            "different": self.different.document(),
            "failed": self.failed.document(),
        }


@dataclass(slots=True)
class Report:
    """What became of a copy, up to now."""

    buckets: list[BucketReport] = field(default_factory=list)
    users: int = 0
    """Users that were copied, with their keys."""
    lost: Findings = field(default_factory=Findings)
    """Beside the buckets."""
    different: Findings = field(default_factory=Findings)
    failed: Findings = field(default_factory=Findings)

    def total(self, name: str) -> int:
        """The sum of one of the buckets' counts."""
        return sum(getattr(bucket, name) for bucket in self.buckets)

    @property
    def is_equal(self) -> bool:
        """Whether nothing failed, and nothing differs but for what the target cannot keep."""
        return not any(findings for _, kind, findings in self.findings() if kind != "lost")

    @property
    def is_whole(self) -> bool:
        """Whether nothing at all was lost."""
        return not any(findings for _, _, findings in self.findings())

    def findings(self) -> Iterator[tuple[str, str, Findings]]:
        """All findings: of which bucket (empty for none), of which sort, and what."""
        for name, holder in [("", self), *((bucket.name, bucket) for bucket in self.buckets)]:
            for sort in ("failed", "different", "lost"):
                yield name, sort, getattr(holder, sort)

    def document(self) -> dict[str, Any]:
        """As JSON tells it."""
        counts = ("copied", "replaced", "amended", "equal", "deleted", "gone", "bytes")
        return {
            "equal": self.is_equal,
            "total": {"users": self.users, **{name: self.total(name) for name in counts}},
            "lost": self.lost.document(),
            "different": self.different.document(),
            "failed": self.failed.document(),
            "buckets": [bucket.document() for bucket in self.buckets],
        }
