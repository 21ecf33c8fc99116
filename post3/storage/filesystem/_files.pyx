# cython: language_level=3
"""Runs of system calls on small files, each made without the GIL.

A thread that gives the GIL away for a call of a few microseconds may wait for it many times as long. So what a change
does to the disk in one go is one function here, which gives it away once. The calls themselves are in _files.h.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.errno cimport EFBIG, ENOENT, ENOTDIR, errno
from libc.stdlib cimport free, malloc
from libc.string cimport strcmp
from posix.unistd cimport close

import os

cdef extern from "_files.h" nogil:
    ctypedef void (*note_step)(const char *, const char *, const char *) noexcept nogil
    void set_note(note_step)
    int LOCK_EX, LOCK_NB
    int lock_file(const char *, int)
    long long changed_at(const char *)
    int place_file(const char *, const char *)
    enum change:
        RENAME, UNLINK
    int share_lock(const char *, const char *, int)
    int enter_locks(const char *, const char *, const char *, const char *, int *, int *, long long *)
    int write_file(const char *, const char *, size_t, long long, int)
    int change_folder(change, const char *, const char *, const char *, int, int *)
    int sync_file_system(int, const char *)
    Py_ssize_t read_file(const char *, char *, size_t, int *)

cdef enum:
    SMALL = 8192  # most records, with the bytes of a small body behind them
    MORE = 1048576
    LARGEST = 32768  # and all records of small bodies, but for those with much else in them

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


def share(bytes gate, bytes lock):
    """Share `lock` by way of its gate; returns it as an open file, to be closed. Raises OSError."""
    cdef const char *c_gate = gate
    cdef const char *c_lock = lock
    cdef int shared, why
    with nogil:
        shared = share_lock(c_gate, c_lock, 0)
        why = errno
    if shared < 0:
        raise OSError(why, os.strerror(why), os.fsdecode(lock))
    return shared


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


def sync_all(int fd, bytes path):
    """Bring the whole file system of an open folder to the disk (Linux). Raises OSError, also for what has failed since
    the folder was opened, or since the last call.
    """
    cdef const char *c_path = path
    cdef int why
    with nogil:
        why = sync_file_system(fd, c_path)
    if why:
        raise OSError(why, os.strerror(why), os.fsdecode(path))


# The same for many files in one go


cdef struct Entry:
    const char *gate
    const char *lock
    const char *record
    const char *key
    const char *path
    int shared
    int held
    int why
    int shared_why  # of the lock that is shared, or of the record
    long long changed
    char *content
    Py_ssize_t size


def enter_many(list places):
    """`enter` for many keys, none waited for, and a file of each read: a list of gate, lock, record, key and path each.

    Returns the locks that were taken, as open files to be left with `leave_many`, and for each key an errno, the
    record's time of change, and the file or None. The errno is EAGAIN where a lock was not free, EFBIG where the file
    has more than 32 KiB; with any errno the key is not held. Raises MemoryError.
    """
    cdef Py_ssize_t count = len(places), at
    cdef Entry *entries = <Entry *>malloc(count * sizeof(Entry))
    cdef char *room = <char *>malloc(count * LARGEST)
    if entries == NULL or room == NULL:
        free(entries)
        free(room)
        raise MemoryError
    try:
        for at in range(count):
            gate, lock, record, key, path = places[at]
            entries[at].gate = PyBytes_AS_STRING(gate)
            entries[at].lock = PyBytes_AS_STRING(lock)
            entries[at].record = PyBytes_AS_STRING(record)
            entries[at].key = PyBytes_AS_STRING(key)
            entries[at].path = PyBytes_AS_STRING(path)
            entries[at].content = room + at * LARGEST
        with nogil:
            for at in range(count):
                enter_one(&entries[at], &entries[at - 1] if at else NULL)
        try:
            return entered(entries, count)
        except MemoryError:
            for at in range(count):
                if entries[at].shared >= 0 and not (at and entries[at - 1].shared == entries[at].shared):
                    close(entries[at].shared)
                if entries[at].held >= 0:
                    close(entries[at].held)
            raise
    finally:
        free(entries)
        free(room)


cdef tuple entered(Entry *entries, Py_ssize_t count):
    cdef Py_ssize_t at
    taken, found = [], []
    for at in range(count):
        if entries[at].shared >= 0 and not (at and entries[at - 1].shared == entries[at].shared):
            taken.append(entries[at].shared)
        if entries[at].held >= 0:
            taken.append(entries[at].held)
        content = None
        if entries[at].size >= 0:
            content = PyBytes_FromStringAndSize(entries[at].content, entries[at].size)
        found.append((entries[at].why, entries[at].changed, content))
    return taken, found


cdef void enter_one(Entry *entry, Entry *before) noexcept nogil:
    cdef int more
    entry.held = -1
    entry.size = -1
    entry.why = 0
    if before != NULL and not strcmp(entry.lock, before.lock) and not strcmp(entry.record, before.record):
        # They are given back together, so one lock serves both.
        entry.shared = before.shared
        entry.changed = before.changed
        entry.shared_why = before.shared_why
    else:
        entry.changed = -1
        entry.shared_why = 0
        entry.shared = share_lock(entry.gate, entry.lock, LOCK_NB)
        if entry.shared < 0:
            entry.shared_why = errno
        else:
            entry.changed = changed_at(entry.record)
            if entry.changed < 0 and errno != ENOENT:
                entry.shared_why = errno
    entry.why = entry.shared_why
    if entry.why or entry.changed < 0:
        return
    entry.held = lock_file(entry.key, LOCK_EX | LOCK_NB)
    if entry.held < 0:
        entry.why = errno
        return
    entry.size = read_file(entry.path, entry.content, LARGEST, &more)
    if entry.size < 0 and errno != ENOENT and errno != ENOTDIR:
        entry.why = errno
    elif more >= 0:
        close(more)
        entry.why = EFBIG
    if entry.why:
        entry.size = -1
        close(entry.held)
        entry.held = -1


def leave_many(list taken):
    """Give back the locks that `enter_many` took."""
    cdef Py_ssize_t count = len(taken), at
    cdef int *fds = <int *>malloc(count * sizeof(int))
    if fds == NULL:
        raise MemoryError
    for at in range(count):
        fds[at] = taken[at]
    with nogil:
        for at in range(count):
            close(fds[at])
    free(fds)


cdef struct Step:
    const char *path
    const char *more
    Py_ssize_t size
    int why


cdef Step *steps_of(list pairs) except NULL:
    cdef Py_ssize_t at
    cdef Step *steps = <Step *>malloc(len(pairs) * sizeof(Step))
    if steps == NULL:
        raise MemoryError
    for at in range(len(pairs)):
        path, more = pairs[at]
        steps[at].path = PyBytes_AS_STRING(path)
        steps[at].more = PyBytes_AS_STRING(more)
        steps[at].size = PyBytes_GET_SIZE(more)
    return steps


def write_many(list files):
    """`write` for many files, paths and bytes, unsynced. Returns an errno for each, or 0."""
    cdef Py_ssize_t count = len(files), at
    cdef Step *steps = steps_of(files)
    with nogil:
        for at in range(count):
            steps[at].why = write_file(steps[at].path, steps[at].more, steps[at].size, -1, 0)
    done = [steps[at].why for at in range(count)]
    free(steps)
    return done


def place_many(list files):
    """Rename many files, from path to path, unsynced; folders are made where they lack. An empty path to rename means
    to remove what stands there, if anything does. Returns an errno for each, or 0.
    """
    cdef Py_ssize_t count = len(files), at
    cdef Step *steps = steps_of(files)
    with nogil:
        for at in range(count):
            steps[at].why = place_file(steps[at].path, steps[at].more)
    done = [steps[at].why for at in range(count)]
    free(steps)
    return done


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
