"""Documents: what a record is as JSON, exact and whatever its bytes are."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from post3.model.encryption import Encryption, Envelope
from post3.model.grants import Grant, Grants

Document = dict[str, Any]
TIME: Final = "~time"
"""Marks a time in a tree; no XML element has such a name."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(moment: datetime) -> int:
    """A moment as whole microseconds since 1970: exact, as a float is not."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def moment(value: int) -> datetime:
    """The moment so many microseconds after 1970."""
    return EPOCH + timedelta(microseconds=value)


def to_json(document: Mapping[str, Any]) -> str:
    """One line; escaped to ASCII, so that header bytes which are no UTF-8 survive as they came."""
    return json.dumps(document, separators=(",", ":"), default=_dump_leaf)


def _dump_leaf(value: object) -> object:
    """What JSON has no form for: a time, as a tree may hold it."""
    if isinstance(value, datetime):
        return {TIME: value.isoformat()}
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{value!r} cannot be kept in a document")


def acl_member(acl: Grants | None) -> Document:
    """A record's ACL as a member of its document: pairs of grantee and permission; no member where there is none."""
    return {} if acl is None else {"acl": acl}


def load_acl(document: Document) -> Grants | None:
    """The ACL of the record whose document this is."""
    acl = document.get("acl")
    return None if acl is None else tuple(Grant(*pair) for pair in acl)


def encryption_member(encryption: Encryption | None) -> Document:
    """A record's encryption as a member of its document; no member where there is none."""
    if encryption is None:
        return {}
    return {"encryption": {"kind": encryption.kind, "key_id": encryption.key_id}}


def load_encryption(document: Document) -> Encryption | None:
    """The encryption of the record whose document this is."""
    found = document.get("encryption")
    return None if found is None else Encryption(found["kind"], found["key_id"])


def envelope_member(envelope: Envelope | None) -> Document:
    """A part's envelope as a member of its document, bytes as base64; no member where there is none."""
    if envelope is None:
        return {}
    return {
        "encryption": {
            "algorithm": envelope.algorithm,
            "kind": envelope.kind,
            "key_id": envelope.key_id,
            "wrapped_key": base64.b64encode(envelope.wrapped_key).decode("ascii"),
            "nonce": base64.b64encode(envelope.nonce).decode("ascii"),
        }
    }


def load_envelope(document: Document) -> Envelope | None:
    """The envelope of the part whose document this is."""
    found = document.get("encryption")
    if found is None:
        return None
    wrapped_key, nonce = base64.b64decode(found["wrapped_key"]), base64.b64decode(found["nonce"])
    return Envelope(found["kind"], found["key_id"], wrapped_key, nonce, found["algorithm"])


def tags_member(tags: Mapping[str, str]) -> Document:
    """A record's tags as a member of its document; no member where there are none."""
    return {"tags": dict(tags)} if tags else {}


def load_tags(document: Document) -> Mapping[str, str]:
    """The tags of the record whose document this is."""
    tags: Mapping[str, str] = document.get("tags", {})
    return tags


def load_tree(value: Any) -> Any:
    """A tree out of a document, with its times."""
    if isinstance(value, dict):
        if value.keys() == {TIME}:
            return datetime.fromisoformat(value[TIME])
        return {name: load_tree(child) for name, child in value.items()}
    if isinstance(value, list):
        return [load_tree(child) for child in value]
    return value
