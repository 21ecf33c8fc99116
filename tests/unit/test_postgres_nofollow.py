"""Files where another user may write: what stands there under a name is used for what it is, or refused."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

import pytest

from post3.storage.postgres.nofollow import make_folder, open_file, read_text, replace_text

OURS = (os.geteuid(),)


def test_a_file_is_made_and_read_by_its_owner_alone(tmp_path: Path) -> None:
    replace_text(tmp_path / "file", "text", None)
    assert read_text(tmp_path / "file", OURS) == "text"
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600
    replace_text(tmp_path / "file", "other", None)
    assert read_text(tmp_path / "file", OURS) == "other"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_is_no_file_of_ours_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("victim")
    (tmp_path / "link").symlink_to(victim)
    (tmp_path / "dangling").symlink_to(tmp_path / "absent")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("link", "dangling", "pipe", "folder"):
        for flags in (os.O_RDONLY, os.O_RDWR | os.O_CREAT, os.O_WRONLY | os.O_APPEND):
            with pytest.raises(ValueError, match=f"{name} is no file that post3 made"):
                open_file(tmp_path / name, flags, OURS)
    with pytest.raises(ValueError, match="victim is no file that post3 made"):
        open_file(victim, os.O_RDONLY, (OURS[0] + 1,))
    os.link(victim, tmp_path / "name")
    with pytest.raises(ValueError, match="name is no file that post3 made"):
        open_file(tmp_path / "name", os.O_RDONLY, OURS)
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "none", OURS)
    assert not (tmp_path / "absent").exists()


def test_a_new_file_takes_the_place_of_a_link_and_writes_through_none(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("victim")
    for name in ("file", ".file.new"):
        (tmp_path / name).symlink_to(victim)
    replace_text(tmp_path / "file", "text", None)
    assert victim.read_text() == "victim"
    assert not (tmp_path / "file").is_symlink()


def test_a_folder_is_no_link_to_one(tmp_path: Path) -> None:
    ourselves = pwd.getpwuid(os.geteuid())
    make_folder(tmp_path / "folder", ourselves)
    make_folder(tmp_path / "folder", None)
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o700
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    with pytest.raises(OSError, match="link"):
        make_folder(tmp_path / "link", ourselves)
