"""The entries of lists as XML, written by one pass: a page has a thousand of them, and their trees would cost more than
all else that it takes.

Each is what `xml.render` makes of its tree, byte for byte; tests/unit/test_entries.py says of which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import repeat
from typing import Final, TypeAlias

from post3.model.listing import CommonPrefix, Listed
from post3.model.tree import Tree
from post3.s3.xml import NEEDS_ESCAPE, Markup, escaped, fragment

Encode: TypeAlias = Callable[[str], str]
"""How a list writes names: each character by itself."""
Owner: TypeAlias = Callable[[str], Tree]
"""An owner as answers show one, by the id."""

_MILLISECONDS: Final = tuple(f".{number:03d}Z" for number in range(1000))
_SPECIAL: Final = bytes(code for code in range(0x80) if NEEDS_ESCAPE(chr(code)))


class Entries:
    """Writes the entries of one page, a column after the other: what they share is made once, and what hardly any of
    them needs is looked for in all at once.
    """

    def __init__(self, encode: Encode, owner: Owner | None) -> None:
        """Without `owner`, objects show none."""
        self._encode = encode
        self._owner = owner

    def contents(self, page: Iterable[Listed | CommonPrefix]) -> Markup:
        """The objects of a page, in its order."""
        objects = self._objects([entry for entry in page if isinstance(entry, Listed)])
        return Markup(f"<Contents>{'</Contents><Contents>'.join(objects)}</Contents>" if objects else "")

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
        key = escaped(self._encode(entry.key))
        modified = f"<LastModified>{_timestamps([entry.modified])[0]}</LastModified>"
        return f"<DeleteMarker><Key>{key}</Key>{place}{modified}{self._owned_by(entry.owner)}</DeleteMarker>"

    def _objects(self, entries: Sequence[Listed]) -> list[str]:
        """What stands in the element of each."""
        if not entries:
            return []
        keys, _, _, modified, sizes, etags, owners, classes, checksums, types, _, _ = zip(*entries, strict=True)
        names, marks, times = _escaped(self._encoded(keys)), _escaped(etags), _timestamps(modified)
        kinds = set(zip(checksums, types, classes, owners, strict=True))
        shared = {kind: self._share(*kind) for kind in kinds}
        if len(kinds) == 1:
            around: Iterable[tuple[str, str]] = repeat(*shared.values())
        else:
            around = map(shared.__getitem__, zip(checksums, types, classes, owners, strict=True))
        return [
            f"<Key>{name}</Key><LastModified>{time}</LastModified><ETag>&quot;{mark}&quot;</ETag>"
            f"{before}<Size>{size}</Size>{behind}"
            for name, time, mark, size, (before, behind) in zip(names, times, marks, sizes, around, strict=False)
        ]

    def _encoded(self, names: Sequence[str]) -> Sequence[str]:
        whole = "".join(names)
        return names if self._encode(whole) == whole else [self._encode(name) for name in names]

    def _share(self, checksums: str, checksum_type: str, storage_class: str, owner: str) -> tuple[str, str]:
        """What stands before the size, and behind it."""
        names = [name.upper() for name in checksums.split(",") if name]
        before = fragment({"ChecksumAlgorithm": names, "ChecksumType": checksum_type or None})
        return before, fragment({"StorageClass": storage_class}) + self._owned_by(owner)

    def _owned_by(self, owner: str) -> str:
        return "" if self._owner is None else fragment({"Owner": self._owner(owner)})


def common_prefixes(page: Iterable[object], encode: Encode) -> Markup:
    """The common prefixes of a page, in its order."""
    prefixes = [escaped(encode(entry.prefix)) for entry in page if isinstance(entry, CommonPrefix)]
    return Markup("".join([f"<CommonPrefixes><Prefix>{prefix}</Prefix></CommonPrefixes>" for prefix in prefixes]))


def _escaped(texts: Sequence[str]) -> Sequence[str]:
    """As they stand inside elements: mostly as they are, which bytes without the special ones tell fastest."""
    whole = "".join(texts).encode("utf-8", "surrogatepass")
    return texts if len(whole.translate(None, _SPECIAL)) == len(whole) else [escaped(text) for text in texts]


def _timestamps(moments: Iterable[int]) -> list[str]:
    """As `xml.timestamp` writes moments, given in microseconds; the second is mostly that of the one before, too."""
    written, second, time = [], None, ""
    for moment in moments:
        if moment // 1_000_000 != second:
            second = moment // 1_000_000
            time = _second(second)
        written.append(time + _MILLISECONDS[moment // 1000 % 1000])
    return written


@lru_cache(maxsize=4096)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat()[:19]
