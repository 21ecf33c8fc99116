"""Any key and any name has a place of its own, within its folder, on any disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from post3.storage.filesystem.layout import (
    BUCKET_STRIPES,
    KEY_STRIPES,
    bucket_folder,
    bucket_stripe,
    content_id,
    data_file,
    escape,
    key_place,
    key_stem,
    key_stripe,
    leaf_of,
    ledger_file,
    parts_file,
)

FOLDER = "/store/buckets/bucket~0123456789abcdef"
VERSION = f"{1:016x}{2:016x}"
MAX_NAME = 255
"""Bytes of a file's name, on any disk that we know."""

characters = st.characters(codec="utf-8") | st.sampled_from("./\\~%:*?<>|\0\n Aaé𝄞")
keys = st.text(characters, min_size=1, max_size=1024).filter(lambda key: len(key.encode()) <= 1024)
names = st.text(characters, max_size=300)
AWKWARD = (
    "a",
    "a/",
    "a/b",
    "/",
    "//",
    ".",
    "..",
    "../../x",
    "~",
    "a~b",
    "%",
    "%2F",
    "%7E",
    "\0",
    "con",
    "𝄞" * 256,
    "k" * 1024,
)


def paths_of(key: str) -> list[str]:
    place = key_place(FOLDER, key)
    content = content_id(place, "0" * 28)
    return [
        place.sidecar("null"),
        place.sidecar(VERSION),
        place.upload("f" * 64),
        data_file(FOLDER, content),
        parts_file(FOLDER, content),
        ledger_file(FOLDER, content),
    ]


@given(keys)
def test_no_key_leads_out_of_its_bucket(key: str) -> None:
    for path in paths_of(key):
        assert os.path.normpath(path) == path
        assert path.startswith(f"{FOLDER}/")
        assert "\0" not in path


@given(keys)
def test_every_name_is_short_and_plain_enough_for_any_disk(key: str) -> None:
    for path in paths_of(key):
        for name in path.split("/"):
            assert len(name.encode()) <= MAX_NAME
            assert name.isascii()
            assert not set(name) & set('\\:*?"<>|\n\0 ')


@given(keys, keys)
def test_two_keys_never_share_a_place_not_even_where_case_is_ignored(one: str, other: str) -> None:
    shared = set(map(str.casefold, paths_of(one))) & set(map(str.casefold, paths_of(other)))
    assert (one == other) == bool(shared)


@pytest.mark.parametrize("key", AWKWARD)
def test_awkward_keys_can_be_files(tmp_path: Path, key: str) -> None:
    for path in paths_of(key):
        there = tmp_path / path.lstrip("/")
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_bytes(b"")


@pytest.mark.parametrize(
    "pair", [("key", "KEY"), ("\xe9", "\xc9"), ("\xe9", "e\u0301"), ("K", "\u212a"), ("ff", "\ufb00")]
)
def test_twins_of_a_disk_that_ignores_case_or_form_have_places_of_their_own(pair: tuple[str, str]) -> None:
    one, other = (key_place(FOLDER, key).sidecar("null") for key in pair)
    assert one.casefold() != other.casefold()


@given(keys)
def test_all_files_of_a_key_are_found_by_their_beginning(key: str) -> None:
    place = key_place(FOLDER, key)
    assert os.path.basename(place.sidecar(VERSION)).startswith(f"{key_stem(key)}~")
    assert place.leaf == leaf_of(place.stem)
    assert os.path.dirname(place.sidecar(VERSION)) == place.versions
    assert os.path.dirname(data_file(FOLDER, content_id(place, "0" * 28))) == place.data


def test_the_ids_of_a_key_are_its_own_and_nothing_that_lies_about(tmp_path: Path) -> None:
    place = key_place(str(tmp_path), "key")
    os.makedirs(place.versions)
    for name in ("null.json", f"{VERSION}.json", "copy.json", f"{VERSION}.json.bak", f"{VERSION[:-1]}G.json", ".json"):
        Path(place.versions, f"{place.stem}~{name}").touch()
    Path(place.versions, f"{key_stem('other')}~null.json").touch()
    assert sorted(place.version_ids()) == sorted(["null", VERSION])


def test_a_key_without_a_folder_has_no_versions(tmp_path: Path) -> None:
    assert key_place(str(tmp_path), "key").version_ids() == []


@given(names)
def test_any_name_escapes_to_one_plain_file_name(name: str) -> None:
    escaped = escape(name)
    assert escaped
    assert len(escaped) <= MAX_NAME - len(".json.pending")
    assert not set(escaped) - set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-%~")


@given(names, names)
def test_two_names_never_escape_alike(one: str, other: str) -> None:
    assert (one == other) == (escape(one) == escape(other))


def test_a_long_name_escapes_unlike_one_that_looks_the_same() -> None:
    assert escape("n" * 200) != escape("n" * 201)
    assert escape(escape("n" * 200)) != escape("n" * 200)


@given(keys)
def test_stripes_are_those_that_there_are(key: str) -> None:
    stem = key_stem(key)
    assert key_stripe(FOLDER, stem) in {f"key-{number:04d}" for number in range(KEY_STRIPES)}
    assert bucket_stripe(key) in {f"bucket-{number:02d}" for number in range(BUCKET_STRIPES)}


def test_a_stripe_is_the_same_wherever_the_store_is_mounted() -> None:
    stem = key_stem("key")
    assert key_stripe("/here/bucket~1", stem) == key_stripe("/there/bucket~1", stem)
    stripes = {key_stripe(FOLDER, key_stem(str(number))) for number in range(3000)}
    assert len(stripes) > KEY_STRIPES / 2, "keys wait for each other"


def test_a_bucket_made_again_has_another_folder() -> None:
    assert bucket_folder("/store", "bucket", "1") != bucket_folder("/store", "bucket", "2")
