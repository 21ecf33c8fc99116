"""What a path on the command line names, and what is written of sizes and keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from post3.cli.asking import shown
from post3.cli.completion import joined
from post3.cli.places import LocalPath, S3Path, Standard, parse_place, parse_s3
from post3.cli.sizes import counted, human_size


@pytest.mark.parametrize(
    ("text", "bucket", "key", "is_folder", "name"),
    [
        ("s3://bucket", "bucket", "", True, ""),
        ("s3://bucket/", "bucket", "", True, ""),
        ("s3://bucket/key", "bucket", "key", False, "key"),
        ("s3://bucket/a/b.txt", "bucket", "a/b.txt", False, "b.txt"),
        ("s3://bucket/a/", "bucket", "a/", True, "a"),
        ("s3://bucket//a", "bucket", "/a", False, "a"),
        ("s3://bucket/a?b#c%20é", "bucket", "a?b#c%20é", False, "a?b#c%20é"),
    ],
)
def test_an_address_names_a_bucket_and_a_key(text: str, bucket: str, key: str, is_folder: bool, name: str) -> None:
    place = parse_s3(text)
    assert (place.bucket, place.key, place.is_folder, place.name) == (bucket, key, is_folder, name)
    assert parse_place(text) == place
    assert parse_s3(str(place)) == place


@pytest.mark.parametrize("text", ["", "bucket", "s3:bucket", "s3://", "s3:///key", "S3://bucket", "http://bucket/key"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no address"):
        parse_s3(text)


def test_all_else_is_local_or_a_stream(tmp_path: Path) -> None:
    assert parse_place("-") == Standard()
    assert parse_place("./-") == LocalPath(Path("-"))
    assert parse_place("./s3:/x") == LocalPath(Path("s3:/x"))
    assert parse_place("new/") == LocalPath(Path("new"), is_folder=True)
    assert parse_place(str(tmp_path)) == LocalPath(tmp_path, is_folder=True)
    with pytest.raises(ValueError, match="empty"):
        parse_place("")


def test_a_folder_is_the_same_with_and_without_its_slash() -> None:
    assert S3Path("b", "x").as_folder() == S3Path("b", "x/").as_folder() == S3Path("b", "x/")
    assert S3Path("b").as_folder().child("y") == S3Path("b", "y")


def test_sizes_and_counts_are_written_as_people_read_them() -> None:
    assert [human_size(size) for size in (0, 1023, 1024, 1536, 5 * 1024**4, 2000 * 1024**4)] == [
        "0 bytes",
        "1023 bytes",
        "1.0 KiB",
        "1.5 KiB",
        "5.0 TiB",
        "2000.0 TiB",
    ]
    assert [counted(number, "file") for number in (0, 1, 2)] == ["0 files", "1 file", "2 files"]


def test_what_could_move_the_cursor_is_escaped() -> None:
    assert shown("é 🦄") == "é 🦄"
    assert shown("\x1b[2J\n\t\u202e") == "\\x1b[2J\\n\\t\\u202e"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ls", "s3", ":", "//b"], ["ls", "s3://b"]),
        (["ls", "s3", ":"], ["ls", "s3:"]),
        (["ls", "s3", "://b"], ["ls", "s3://b"]),
        (["cp", "s3", ":", "//a", "s3", ":", "//b"], ["cp", "s3://a", "s3://b"]),
        (["cp", "s3", "x:y"], ["cp", "s3", "x:y"]),
    ],
)
def test_addresses_that_bash_cut_are_put_together(words: list[str], expected: list[str]) -> None:
    assert joined(words) == expected
