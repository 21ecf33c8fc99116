"""Files and folders in places where another user may write: taken for what they are, never for where a link leads.

Root keeps files beside those of PostgreSQL's user, and some inside that user's own folder. Whatever stands there under
a name may be a link to a file of root's, a second name of one, or a pipe that nobody writes to. So a file is opened
without following links and used only when it belongs to whom it should, and a new one is made under a name that nobody
has, and given away by its descriptor. Only the last name of a path is guarded: the folders above it must be safe.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
"""Without waiting: a pipe would have to be waited for."""


def open_file(path: Path, flags: int, uids: tuple[int, ...], mode: int = 0o600) -> int:
    """A descriptor of a regular file of one name that belongs to one of these users; made where it is missing and the
    flags say so.

    Raises FileNotFoundError, and ValueError for anything else that stands there.
    """
    try:
        fd = os.open(path, flags | _FILE, mode)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"{path} is no file that post3 made ({error.strerror}): remove it.") from error
    about = os.fstat(fd)
    # It has no name any more where somebody has just put another in its place.
    if stat.S_ISREG(about.st_mode) and about.st_nlink <= 1 and about.st_uid in uids:
        return fd
    os.close(fd)
    raise ValueError(f"{path} is no file that post3 made: remove it.")


def read_text(path: Path, uids: tuple[int, ...]) -> str:
    """The text of such a file."""
    with open(open_file(path, os.O_RDONLY, uids), encoding="utf-8", errors="replace") as file:
        return file.read()


def replace_text(path: Path, text: str, owner: pwd.struct_passwd | None) -> None:
    """Write a small file whole, for its owner alone to read; ourselves where that is None."""
    making = path.with_name(f".{path.name}.new")
    making.unlink(missing_ok=True)
    fd = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(fd, "w", encoding="utf-8") as file:
        if owner is not None:
            os.fchown(fd, owner.pw_uid, owner.pw_gid)
        file.write(text)
    making.rename(path)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    fd = os.open(folder, _FOLDER)
    try:
        yield fd
    finally:
        os.close(fd)


def make_folder(folder: Path, owner: pwd.struct_passwd | None) -> None:
    """Make a folder that its owner alone may enter, unless there is one. Raises OSError for what is none."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if owner is not None:
        with _opened(folder) as fd:
            os.fchown(fd, owner.pw_uid, owner.pw_gid)


def give_tree(folder: Path, owner: pwd.struct_passwd) -> None:
    """Give away all of a tree that is ours. Its top goes last: until then nobody else gets in."""
    for _, folders, files, fd in os.fwalk(folder, topdown=False):
        for name in (*folders, *files):
            os.chown(name, owner.pw_uid, owner.pw_gid, dir_fd=fd, follow_symlinks=False)
    make_folder(folder, owner)


def take_over(folder: Path, user: pwd.struct_passwd) -> None:
    """Make a folder root's, which its user may only pass. What others had put in place of files is removed.

    Raises ValueError where a folder that holds data is a link of somebody else's.
    """
    with _opened(folder) as fd:
        os.fchown(fd, 0, user.pw_gid)
        os.fchmod(fd, 0o710)
        for name in os.listdir(fd):  # from here on nobody but other processes of root's adds to them
            with contextlib.suppress(FileNotFoundError):
                if _is_sound(os.stat(name, dir_fd=fd, follow_symlinks=False), user.pw_uid):
                    continue
                if name.startswith("data"):
                    raise ValueError(f"{folder / name} is a link that root did not make: put the folder itself there.")
                os.unlink(name, dir_fd=fd)


def _is_sound(about: os.stat_result, uid: int) -> bool:
    """Whether it is a folder, a link of root's, or a file of one name that is root's or this user's."""
    if stat.S_ISREG(about.st_mode):
        return about.st_nlink == 1 and about.st_uid in (0, uid)
    return stat.S_ISDIR(about.st_mode) or (stat.S_ISLNK(about.st_mode) and about.st_uid == 0)


def belongs_to(folder: Path, uid: int) -> bool:
    """Whether it is a folder, and no link to one, of this user's."""
    with contextlib.suppress(OSError):
        about = folder.lstat()
        return stat.S_ISDIR(about.st_mode) and about.st_uid == uid
    return False


def may_pass(folder: Path, user: pwd.struct_passwd) -> bool:
    """Whether a user may enter a folder, by its owner, group and mode."""
    about = folder.stat()
    if about.st_uid == user.pw_uid:
        return bool(about.st_mode & stat.S_IXUSR)
    return bool(about.st_mode & (stat.S_IXGRP if about.st_gid == user.pw_gid else stat.S_IXOTH))
