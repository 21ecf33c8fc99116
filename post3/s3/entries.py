"""The entries of lists as XML, written by one pass: a page has a thousand of them, and their trees would cost more than
all else that it takes.

Each is what `xml.render` makes of its tree, byte for byte; tests/unit/test_entries.py says of which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, TypeAlias

from post3.model.listing import CommonPrefix, Listed
from post3.model.tree import Tree
from post3.s3.xml import NEEDS_ESCAPE, Markup, escaped, fragment

Encode: TypeAlias = Callable[[str], str]
"""How a list writes names."""
Owner: TypeAlias = Callable[[str], Tree]
"""An owner as answers show one, by the id."""

_MILLISECONDS: Final = tuple(f"{number:03d}" for number in range(1000))


class Entries:
    """Writes the entries of one page; what they share is made once."""

    def __init__(self, encode: Encode, owner: Owner | None) -> None:
        """Without `owner`, objects show none."""
        self._encode = encode
        self._owner = owner
        self._shared: dict[tuple[str, str, str, str], tuple[str, str]] = {}

    def contents(self, page: Iterable[Listed | CommonPrefix]) -> Markup:
        """The objects of a page, in its order."""
        objects = self._objects([entry for entry in page if isinstance(entry, Listed)])
        return Markup("".join([f"<Contents>{written}</Contents>" for written in objects]))

    def versions(self, page: Iterable[Listed | CommonPrefix]) -> Markup:
        """The versions and delete markers of a page, in its order."""
        entries = [entry for entry in page if isinstance(entry, Listed)]
        pairs = zip(entries, self._objects(entries), strict=True)
        return Markup("".join([self._version(entry, written) for entry, written in pairs]))

    def _version(self, entry: Listed, written: str) -> str:
        latest = "true" if entry.is_latest else "false"
        place = f"<VersionId>{escaped(entry.version_id)}</VersionId><IsLatest>{latest}</IsLatest>"
        if not entry.is_delete_marker:
            return f"<Version>{written}{place}</Version>"
        key, modified = escaped(self._encode(entry.key)), f"<LastModified>{_timestamp(entry.modified)}</LastModified>"
        return f"<DeleteMarker><Key>{key}</Key>{place}{modified}{self._owned_by(entry.owner)}</DeleteMarker>"

    def _objects(self, entries: Iterable[Listed]) -> list[str]:
        """What stands in the element of each. All in one loop: to call anything takes its time, too."""
        encode, written = self._encode, []
        known: tuple[str, str, str, str] | None = None
        before = behind = time = ""
        second: int | None = None
        for key, _, _, modified, size, etag, owner, storage_class, checksums, checksum_type, _, _ in entries:
            kind = checksums, checksum_type, storage_class, owner
            if kind != known:
                known, (before, behind) = kind, self._shared.get(kind) or self._share(*kind)
            if modified // 1_000_000 != second:
                second = modified // 1_000_000
                time = _second(second)
            name = encode(key)
            if NEEDS_ESCAPE(name):
                name = escaped(name)
            mark = etag if etag.isalnum() else escaped(etag)
            written.append(
                f"<Key>{name}</Key><LastModified>{time}.{_MILLISECONDS[modified // 1000 % 1000]}Z</LastModified>"
                f"<ETag>&quot;{mark}&quot;</ETag>{before}<Size>{size}</Size>{behind}"
            )
        return written

    def _share(self, checksums: str, checksum_type: str, storage_class: str, owner: str) -> tuple[str, str]:
        """What stands before the size, and behind it."""
        names = [name.upper() for name in checksums.split(",") if name]
        before = fragment({"ChecksumAlgorithm": names, "ChecksumType": checksum_type or None})
        behind = fragment({"StorageClass": storage_class}) + self._owned_by(owner)
        self._shared[checksums, checksum_type, storage_class, owner] = before, behind
        return before, behind

    def _owned_by(self, owner: str) -> str:
        return "" if self._owner is None else fragment({"Owner": self._owner(owner)})


def common_prefixes(page: Iterable[object], encode: Encode) -> Markup:
    """The common prefixes of a page, in its order."""
    prefixes = [escaped(encode(entry.prefix)) for entry in page if isinstance(entry, CommonPrefix)]
    return Markup("".join([f"<CommonPrefixes><Prefix>{prefix}</Prefix></CommonPrefixes>" for prefix in prefixes]))


def _timestamp(microseconds: int) -> str:
    """As `xml.timestamp` writes the moment."""
    return f"{_second(microseconds // 1_000_000)}.{_MILLISECONDS[microseconds // 1000 % 1000]}Z"


@lru_cache(maxsize=4096)
def _second(second: int) -> str:
    """Mostly that of the object before, too."""
    return datetime.fromtimestamp(second, UTC).isoformat()[:19]
