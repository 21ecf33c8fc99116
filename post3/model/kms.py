"""Named master keys: those that wrap the data keys of what is stored."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from post3.errors import EncryptionNotConfigured, KMSNotFoundException
from post3.model.encryption import Encryption

ONLY_KEY: Final = "master"
"""The name of a key that is given without one."""
_KEY: Final = re.compile(r"[A-Za-z0-9+/]{43}=")
"""32 bytes in base64."""
_ID: Final = re.compile(r"[A-Za-z0-9_.:/@+=-]{1,256}")


@dataclass(frozen=True, slots=True)
class MasterKeys:
    """All that a server has."""

    default: str = ""
    """The name of the one that AES256 uses."""
    keys: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """32 bytes each, by name."""

    def choose(self, wanted: Encryption) -> str:
        """The name of the key for something new. Raises EncryptionNotConfigured without any, KMSNotFoundException."""
        if not self.keys:
            raise EncryptionNotConfigured
        id = wanted.key_id or self.default
        if id not in self.keys:
            raise KMSNotFoundException(KeyId=id)
        return id

    def find(self, id: str) -> bytes:
        """The key that something stored needs. Raises KMSNotFoundException."""
        key = self.keys.get(id)
        if key is None:
            raise KMSNotFoundException(
                f"The object is encrypted with the master key {id!r}, which this server does not have; give it back to "
                "the server (POST3_MASTER_KEYS) to read the object.",
                KeyId=id,
            )
        return key


NO_KEYS: Final = MasterKeys()


def parse_master_key(text: str) -> bytes:
    """The 32 bytes of a key in base64. Raises ValueError, which does not show it."""
    if not _KEY.fullmatch(text):
        raise ValueError("a master key must be 32 bytes in base64, as openssl rand -base64 32 makes them")
    return base64.b64decode(text)


def parse_master_keys(document: str) -> MasterKeys:
    """The keys of `{"default": "id", "keys": {"id": "base64"}}`. Raises ValueError, which shows none of them."""
    try:
        tree = json.loads(document, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON (line {error.lineno}, column {error.colno})") from None
    if not isinstance(tree, dict) or tree.keys() != {"default", "keys"} or not isinstance(tree["keys"], dict):
        raise ValueError('it must have the form {"default": "id", "keys": {"id": "base64"}}')
    keys = {}
    for id, key in tree["keys"].items():
        if not _ID.fullmatch(id):
            raise ValueError("the name of a key must be 1 to 256 letters, digits and _.:/@+=-")
        try:
            keys[id] = parse_master_key(key if isinstance(key, str) else "")
        except ValueError as error:
            raise ValueError(f"of the key {id!r}: {error}") from None
    if not isinstance(tree["default"], str) or tree["default"] not in keys:
        raise ValueError('"default" must be the name of one of its keys')
    return MasterKeys(tree["default"], keys)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    tree = dict(pairs)
    if len(tree) < len(pairs):
        raise ValueError("a name stands in it twice")
    return tree
