"""Named master keys: which is chosen, which is missing, and what their file may say."""

from __future__ import annotations

import base64
import json
from typing import Any, Final

import pytest

from post3.errors import EncryptionNotConfigured, KMSNotFoundException
from post3.model.encryption import Encryption
from post3.model.kms import NO_KEYS, MasterKeys, parse_master_key, parse_master_keys

TEXT: Final = base64.b64encode(bytes(range(32))).decode()
KEYS: Final = MasterKeys("new", {"old": bytes(32), "new": bytes(range(32))})


def test_aes256_takes_the_default_and_kms_the_one_it_names() -> None:
    assert KEYS.choose(Encryption("AES256")) == "new"
    assert KEYS.choose(Encryption("aws:kms", "old")) == "old"


def test_a_name_that_nobody_has_is_told() -> None:
    with pytest.raises(KMSNotFoundException) as refused:
        KEYS.choose(Encryption("aws:kms", "other"))
    assert (refused.value.status, refused.value.code) == (400, "KMS.NotFoundException")
    assert refused.value.details == {"KeyId": "other"}


def test_a_server_without_keys_says_what_to_set() -> None:
    with pytest.raises(EncryptionNotConfigured, match="POST3_MASTER_KEY or --master-keys") as refused:
        NO_KEYS.choose(Encryption("AES256"))
    assert (refused.value.status, refused.value.code) == (501, "NotImplemented")


def test_a_key_that_something_stored_misses_is_named() -> None:
    assert KEYS.find("old") == bytes(32)
    with pytest.raises(KMSNotFoundException, match="master key 'gone', which this server does not have"):
        KEYS.find("gone")


def test_keys_are_not_shown() -> None:
    assert repr(KEYS) == "MasterKeys(default='new')"


def test_a_file_of_keys_is_read() -> None:
    keys = parse_master_keys(json.dumps({"default": "arn:aws:kms:x:1:key/a", "keys": {"arn:aws:kms:x:1:key/a": TEXT}}))
    assert keys == MasterKeys("arn:aws:kms:x:1:key/a", {"arn:aws:kms:x:1:key/a": bytes(range(32))})


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"default": "a"},
        {"keys": {"a": TEXT}},
        {"default": "a", "keys": {}},
        {"default": "b", "keys": {"a": TEXT}},
        {"default": None, "keys": {"a": TEXT}},
        {"default": ["a"], "keys": {"a": TEXT}},
        {"default": "a", "keys": {"a": TEXT}, "more": 1},
        {"default": "a", "keys": [TEXT]},
        {"default": "a", "keys": {"a": 5}},
        {"default": "a", "keys": {"a": TEXT[1:]}},
        {"default": "a b", "keys": {"a b": TEXT}},
        {"default": "", "keys": {"": TEXT}},
    ],
    ids=str,
)
def test_a_file_that_says_something_else_is_refused_without_showing_a_key(document: Any) -> None:
    with pytest.raises(ValueError, match=r"^[^A-Z]+") as refused:
        parse_master_keys(json.dumps(document))
    assert TEXT[1:] not in str(refused.value)


def test_a_name_that_stands_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        parse_master_keys(f'{{"default": "a", "keys": {{"a": "{TEXT}", "a": "{TEXT}"}}}}')


@pytest.mark.parametrize(
    "text", ["", "a", TEXT[:-1], TEXT + "\n", "-" * 43 + "=", base64.b64encode(bytes(33)).decode()]
)
def test_a_key_is_32_bytes_in_base64(text: str) -> None:
    assert parse_master_key(TEXT) == bytes(range(32))
    with pytest.raises(ValueError, match="32 bytes in base64"):
        parse_master_key(text)
