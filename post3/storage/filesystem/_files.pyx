# cython: language_level=3
"""Runs of system calls on small files, each made without the GIL.

A thread that gives the GIL away for a call of a few microseconds may wait for it many times as long. So what a change
does to the disk in one go is one function here, which gives it away once. The calls themselves are in _files.h.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.errno cimport ENOENT, ENOTDIR, errno
from posix.unistd cimport close

import os

cdef extern from "_files.h" nogil:
    ctypedef void (*note_step)(const char *, const char *, const char *) noexcept nogil
    void set_note(note_step)
    enum change:
        RENAME, UNLINK
    int enter_locks(const char *, const char *, const char *, const char *, int *, int *, long long *)
    int write_file(const char *, const char *, size_t, long long, int)
    int change_folder(change, const char *, const char *, const char *, int, int *)
    Py_ssize_t read_file(const char *, char *, size_t, int *)

cdef enum:
    SMALL = 8192  # most records, with the bytes of a small body behind them
    MORE = 1048576

cdef object _watcher = None


class Unsynced(OSError):
    """It is changed, but a loss of power may undo that."""


def watch(watcher):
    """Have this called with the name, the path and the target (or "") of each step, before it is made; None: no more.

    For tests: they note what is done to the disk in which order, or die at a step.
    """
    global _watcher
    _watcher = watcher
    set_note(NULL if watcher is None else <note_step>tell)


cdef void tell(const char *step, const char *path, const char *target) noexcept nogil:
    with gil:
        _watcher(step.decode(), os.fsdecode(path), os.fsdecode(target))


def enter(bytes gate, bytes lock, bytes record, bytes key):
    """Share `lock` by way of its gate, see when `record` was changed, and hold `key` alone, in that order.

    Returns both locks as open files, which `leave` gives back, and the time in nanoseconds; where there is no record,
    that is -1, and `key` is not held. Raises OSError.
    """
    cdef const char *c_gate = gate
    cdef const char *c_lock = lock
    cdef const char *c_record = record
    cdef const char *c_key = key
    cdef int shared, held, why
    cdef long long changed
    with nogil:
        why = enter_locks(c_gate, c_lock, c_record, c_key, &shared, &held, &changed)
    if why:
        raise OSError(why, os.strerror(why), os.fsdecode(lock))
    return shared, held, changed


def leave(int shared, int held):
    """Give back what `enter` returned."""
    with nogil:
        if held >= 0:
            close(held)
        close(shared)


def write(bytes path, bytes data, long long changed, bint durable):
    """Make a new file of these bytes, with this time of change in nanoseconds unless it is -1, and sync it if it is to
    last. Raises OSError, and the file may be there.
    """
    cdef const char *c_path = path
    cdef const char *c_data = data
    cdef size_t size = PyBytes_GET_SIZE(data)
    cdef int why
    with nogil:
        why = write_file(c_path, c_data, size, changed, durable)
    if why:
        raise OSError(why, os.strerror(why), os.fsdecode(path))


def place(bytes path, bytes target, bytes folder, bint durable):
    """Rename a file to its place in a folder and sync that; False, with nothing changed, where the folder is not there.

    Raises OSError with nothing changed, and Unsynced.
    """
    cdef const char *c_path = path
    cdef const char *c_target = target
    cdef const char *c_folder = folder
    cdef int reached, why
    with nogil:
        why = change_folder(RENAME, c_path, c_target, c_folder, durable, &reached)
    return _done(why, reached, target)


def remove(bytes path, bytes folder, bint durable):
    """Unlink a file and sync its folder; False where either is not there. Raises OSError and Unsynced like `place`."""
    cdef const char *c_path = path
    cdef const char *c_folder = folder
    cdef int reached, why
    with nogil:
        why = change_folder(UNLINK, c_path, NULL, c_folder, durable, &reached)
    if why == ENOENT and reached == 1:
        return False
    return _done(why, reached, path)


cdef bint _done(int why, int reached, bytes path) except -1:
    if not why:
        return True
    if why == ENOENT and reached == 0:
        return False
    kind = Unsynced if reached == 2 else OSError
    raise kind(why, os.strerror(why), os.fsdecode(path))


def read(bytes path):
    """A file whole; None where there is none. Raises OSError."""
    cdef char buffer[SMALL]
    cdef const char *c_path = path
    cdef Py_ssize_t size
    cdef int why, more
    with nogil:
        size = read_file(c_path, buffer, SMALL, &more)
        why = errno if size < 0 else 0
    if why in (ENOENT, ENOTDIR):
        return None
    if why:
        raise OSError(why, os.strerror(why), os.fsdecode(path))
    if more < 0:
        return PyBytes_FromStringAndSize(buffer, size)
    pieces = [PyBytes_FromStringAndSize(buffer, size)]
    try:
        while pieces[len(pieces) - 1]:
            pieces.append(os.read(more, MORE))
    finally:
        close(more)
    return b"".join(pieces)
