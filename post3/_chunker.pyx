# cython: language_level=3, cdivision=True
"""Bytes of any size in; blocks of 1 MiB, their piece CRCs and the digests of the whole out, in one pass.

A block is assembled in the bytes object that is handed out. MD5 and the CRCs are taken from there, 64 KiB at a time
while those are in the cache, and with them SHA-256 where the processor has instructions for it: it then costs nothing
beside MD5. SHA-1, and SHA-256 elsewhere, follow block by block. What is digested is what is handed out, whatever
becomes of the caller's buffer. Everything long happens without the GIL.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.ref cimport Py_XDECREF, PyObject
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy

import hashlib


cdef extern from "Python.h":
    # For the block: a bytes object of one owner, which Python does not see before it is handed out.
    PyObject *new_block "PyBytes_FromStringAndSize"(const char *, Py_ssize_t) except NULL
    int resize_block "_PyBytes_Resize"(PyObject **, Py_ssize_t) except -1
    Py_ssize_t size_of_block "PyBytes_GET_SIZE"(PyObject *)
    char *bytes_of_block "PyBytes_AS_STRING"(PyObject *) nogil

cdef extern from "_digests.h" nogil:
    ctypedef struct crc_kind:
        int width
        uint64_t ones
    crc_kind crc_32, crc_32c, crc_64nvme
    bint crc_folds, digests_go_together
    void digests_init()
    bint digests_can_go_together()
    bint crc_can_fold()
    uint64_t crc_update(const crc_kind *, uint64_t crc, const unsigned char *, size_t)
    uint64_t crc_combine(const crc_kind *, uint64_t first, uint64_t second, uint64_t size)
    void md5_start(uint32_t *)
    void md5_blocks(uint32_t *, const unsigned char *, size_t blocks)
    void md5_finish(uint32_t *, const unsigned char *, size_t, uint64_t size, unsigned char *digest)
    void sha256_start(uint32_t *)
    void sha256_finish(uint32_t *, const unsigned char *, size_t, uint64_t size, unsigned char *digest)
    void digest_all(uint32_t *md5, uint32_t *sha256, const crc_kind **, uint64_t *crcs, const unsigned char *, size_t)
    void store_be64(unsigned char *, uint64_t)


cdef enum:
    BLOCK = 1048576  # 16 pieces
    PIECE = 65536
    CRC = 8  # bytes of a piece's CRC

    # Below these sizes the work is shorter (a few microseconds) than the wait for the GIL may be.
    MD5_WITH_GIL = 2048
    CRC_WITH_GIL = PIECE

cdef enum State:
    READY
    BUSY
    FINISHED
    FAILED

BLOCK_SIZE = BLOCK
PIECE_SIZE = PIECE

digests_init()

_SHA = {"sha1": hashlib.sha1, "sha256": hashlib.sha256}
BESIDE_MD5 = frozenset(("sha256",) if digests_go_together else ())
_ALGORITHMS = {"crc32", "crc32c", "crc64nvme", *_SHA}


@cython.final
cdef class Chunker:
    """Bytes of any size in, 1 MiB blocks and digests out, in one pass.

    ``algorithms`` names the digests of the whole that are wanted besides MD5: any of ``crc32``, ``crc32c``,
    ``crc64nvme``, ``sha1`` and ``sha256``; ValueError names any other. One body, one Chunker, one thread at a time:
    a call during a call raises RuntimeError.
    """

    cdef readonly unsigned long long size  # bytes fed so far

    cdef State _state
    cdef PyObject *_block  # the block being filled: owned, NULL between blocks
    cdef Py_ssize_t _filled  # bytes of it
    cdef unsigned char _crcs[16 * CRC]  # of its pieces
    cdef bint _together
    cdef uint32_t _md5[4]
    cdef uint32_t _sha256[8]  # where digests go together
    cdef bint _wants_crc32, _wants_crc32c, _wants_crc64nvme, _wants_sha256
    cdef uint64_t _crc32, _crc32c, _crc64nvme  # of all whole pieces so far
    cdef dict _sha  # name: hashlib's object, of those not taken here
    cdef dict _digests  # name: bytes, once finished

    def __cinit__(self, algorithms=()):
        wanted = set(algorithms)
        if unknown := wanted - _ALGORITHMS:
            raise ValueError(f"unknown checksum algorithm: {', '.join(sorted(map(str, unknown)))}")
        self._wants_crc32 = "crc32" in wanted
        self._wants_crc32c = "crc32c" in wanted
        self._wants_crc64nvme = "crc64nvme" in wanted
        self._together = digests_go_together
        self._wants_sha256 = self._together and "sha256" in wanted
        if self._wants_sha256:
            wanted.remove("sha256")
        # A checksum of S3 is no secret: a system that allows only approved cryptography may still compute it.
        self._sha = {name: new(usedforsecurity=False) for name, new in _SHA.items() if name in wanted}
        self._digests = {}
        md5_start(self._md5)
        sha256_start(self._sha256)

    def __dealloc__(self):
        Py_XDECREF(self._block)

    def feed(self, data):
        """Take ``data``, any contiguous buffer, and return every block that it completed; usually none or one.

        A block is ``(data, crcs)``: exactly 1 MiB, and its ``piece_crcs``. Raises TypeError or BufferError for what is
        not a contiguous buffer, and ValueError after ``finish``.
        """
        cdef Py_buffer view
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            self._begin()
            try:
                blocks = self._take(<const unsigned char *>view.buf, view.len)
            except BaseException:
                self._state = FAILED
                raise
            self._state = READY
            return blocks
        finally:
            PyBuffer_Release(&view)

    def finish(self):
        """End the body; return its last, shorter block in a list, or an empty list if there is none.

        Raises ValueError when called again.
        """
        self._begin()
        try:
            blocks = self._conclude()
        except BaseException:
            self._state = FAILED
            raise
        self._state = FINISHED
        return blocks

    def md5(self):
        """The MD5 of the whole (RFC 1321), 16 bytes; ValueError before ``finish``."""
        return self.digest("md5")

    def digest(self, algorithm):
        """The digest of the whole, big-endian: 4 bytes (CRCs of 32 bits), 8 (``crc64nvme``), 20 or 32 (SHA).

        Raises ValueError before ``finish`` and KeyError for an algorithm that was not asked for.
        """
        if self._state != FINISHED:
            raise ValueError("digests are known after finish")
        return self._digests[algorithm]

    cdef int _begin(self) except -1:
        """Claim the Chunker for one call, which sets the state again at its end."""
        if self._state == READY:
            self._state = BUSY
            return 0
        if self._state == FINISHED:
            raise ValueError("the Chunker is finished")
        if self._state == FAILED:
            raise ValueError("the Chunker lost bytes when an earlier call failed")
        raise RuntimeError("the Chunker is in use by another thread")

    cdef list _take(self, const unsigned char *data, Py_ssize_t size):
        """Copy ``size`` bytes into blocks, digest them, and return the blocks that are full."""
        cdef list blocks = []
        cdef Py_ssize_t count
        while size:
            self._reserve(size)
            count = min(size, BLOCK - self._filled)
            if count < MD5_WITH_GIL and self._filled % PIECE + count < PIECE:
                self._fill(data, count)
            else:
                with nogil:
                    self._fill(data, count)
            data += count
            size -= count
            self.size += count
            if self._filled == BLOCK:
                blocks.append(self._release())
        return blocks

    cdef int _reserve(self, Py_ssize_t size) except -1:
        """Make room for ``size`` bytes more, or for as many as the block may still have.

        The first block grows with what arrives, because most bodies are small; the others are made whole at once.
        """
        cdef Py_ssize_t needed = min(self._filled + size, BLOCK)
        if self._block == NULL:
            self._block = new_block(NULL, needed if self.size < BLOCK else BLOCK)
        elif needed > size_of_block(self._block):
            resize_block(&self._block, min(max(needed, 2 * size_of_block(self._block)), BLOCK))
        return 0

    cdef void _fill(self, const unsigned char *data, Py_ssize_t size) noexcept nogil:
        """Copy bytes for which there is room behind the others; digest every piece that becomes whole."""
        cdef char *block = bytes_of_block(self._block)
        cdef Py_ssize_t count
        while size:
            count = min(size, PIECE - self._filled % PIECE)
            memcpy(block + self._filled, data, count)
            self._filled += count
            data += count
            size -= count
            if self._filled % PIECE == 0:
                self._digest_piece()

    cdef void _digest_piece(self) noexcept nogil:
        """Digest the last piece of the block; all but the bytes that MD5 and SHA-256 want at the very end."""
        cdef Py_ssize_t start = (self._filled - 1) // PIECE * PIECE
        cdef Py_ssize_t size = self._filled - start
        cdef const unsigned char *piece = <const unsigned char *>bytes_of_block(self._block) + start
        cdef uint64_t crc
        if self._together:
            crc = self._digest_together(piece, size)
        else:
            crc = self._digest_in_turn(piece, size)
        store_be64(self._crcs + start // PIECE * CRC, crc)
        if self._wants_crc64nvme:
            self._crc64nvme = crc_combine(&crc_64nvme, self._crc64nvme, crc, size)

    cdef uint64_t _digest_in_turn(self, const unsigned char *piece, Py_ssize_t size) noexcept nogil:
        """Digest a piece, and return its CRC-64/NVME."""
        md5_blocks(self._md5, piece, size // 64)
        if self._wants_crc32:
            self._crc32 = crc_update(&crc_32, self._crc32, piece, size)
        if self._wants_crc32c:
            self._crc32c = crc_update(&crc_32c, self._crc32c, piece, size)
        return crc_update(&crc_64nvme, 0, piece, size)

    cdef uint64_t _digest_together(self, const unsigned char *piece, Py_ssize_t size) noexcept nogil:
        """The same in one go. What is not wanted, SHA-256 or the second CRC, would not be cheaper left out."""
        cdef const crc_kind *kinds[2]
        cdef uint64_t crcs[2]
        cdef bint is_crc32c = self._wants_crc32c and not self._wants_crc32
        kinds[0], crcs[0] = &crc_64nvme, 0
        kinds[1], crcs[1] = (&crc_32c, self._crc32c) if is_crc32c else (&crc_32, self._crc32)
        digest_all(self._md5, self._sha256, kinds, crcs, piece, size)
        if is_crc32c:
            self._crc32c = crcs[1]
        else:
            self._crc32 = crcs[1]
            if self._wants_crc32c:
                self._crc32c = crc_update(&crc_32c, self._crc32c, piece, size)
        return crcs[0]

    cdef tuple _release(self):
        """Hand the block over, with the CRCs of its pieces."""
        if size_of_block(self._block) != self._filled:
            resize_block(&self._block, self._filled)
        block = <bytes>self._block
        Py_XDECREF(self._block)
        self._block = NULL
        crcs = self._crcs[:(self._filled + PIECE - 1) // PIECE * CRC]
        self._filled = 0
        for sha in self._sha.values():
            sha.update(block)
        return block, crcs

    cdef list _conclude(self):
        """Digest the shorter piece and block at the end, if there are any, and collect the digests."""
        cdef list blocks = []
        cdef unsigned char md5[16]
        cdef unsigned char sha256[32]
        cdef const unsigned char *tail = NULL
        cdef Py_ssize_t tail_size = self._filled % 64
        if self._filled % PIECE >= MD5_WITH_GIL:
            with nogil:
                self._digest_piece()
        elif self._filled % PIECE:
            self._digest_piece()
        if tail_size:
            tail = <const unsigned char *>bytes_of_block(self._block) + self._filled - tail_size
        md5_finish(self._md5, tail, tail_size, self.size, md5)
        if self._wants_sha256:
            sha256_finish(self._sha256, tail, tail_size, self.size, sha256)
        if self._filled:
            blocks.append(self._release())

        self._digests = {name: sha.digest() for name, sha in self._sha.items()}
        self._digests["md5"] = <bytes>md5[:16]
        if self._wants_sha256:
            self._digests["sha256"] = <bytes>sha256[:32]
        if self._wants_crc32:
            self._digests["crc32"] = self._crc32.to_bytes(4, "big")
        if self._wants_crc32c:
            self._digests["crc32c"] = self._crc32c.to_bytes(4, "big")
        if self._wants_crc64nvme:
            self._digests["crc64nvme"] = self._crc64nvme.to_bytes(8, "big")
        return blocks


def crc64nvme(data, value=0):
    """CRC-64/NVME of ``data``, any contiguous buffer, continuing from ``value``, the CRC of what came before."""
    return _crc(&crc_64nvme, data, value)


def crc32c(data, value=0):
    """CRC-32/ISCSI (RFC 3720) of ``data``, any contiguous buffer, continuing from ``value``."""
    return _crc(&crc_32c, data, value)


def crc32(data, value=0):
    """CRC-32/ISO-HDLC (as zlib) of ``data``, any contiguous buffer, continuing from ``value``."""
    return _crc(&crc_32, data, value)


cdef uint64_t _crc(const crc_kind *kind, data, uint64_t value) except? 0:
    cdef Py_buffer view
    if value > kind.ones:
        raise OverflowError(f"a CRC of {kind.width} bits cannot continue from {value}")
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        if view.len <= CRC_WITH_GIL:
            return crc_update(kind, value, <const unsigned char *>view.buf, view.len)
        with nogil:
            value = crc_update(kind, value, <const unsigned char *>view.buf, view.len)
        return value
    finally:
        PyBuffer_Release(&view)


def piece_crcs(data):
    """CRC-64/NVME of each 64 KiB piece of ``data``, any contiguous buffer: 8 bytes big-endian each.

    The last piece may be shorter; no data has no pieces.
    """
    cdef Py_buffer view
    cdef unsigned char *crcs
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        result = PyBytes_FromStringAndSize(NULL, (view.len + PIECE - 1) // PIECE * CRC)
        crcs = <unsigned char *>PyBytes_AS_STRING(result)
        if view.len <= CRC_WITH_GIL:
            _piece_crcs(<const unsigned char *>view.buf, view.len, crcs)
        else:
            with nogil:
                _piece_crcs(<const unsigned char *>view.buf, view.len, crcs)
        return result
    finally:
        PyBuffer_Release(&view)


cdef void _piece_crcs(const unsigned char *data, Py_ssize_t size, unsigned char *crcs) noexcept nogil:
    cdef Py_ssize_t count
    while size:
        count = min(size, PIECE)
        store_be64(crcs, crc_update(&crc_64nvme, 0, data, count))
        crcs += CRC
        data += count
        size -= count


def _md5(data):
    """MD5 of ``data`` by itself, without the GIL: for the benchmark."""
    cdef Py_buffer view
    cdef uint32_t state[4]
    cdef unsigned char digest[16]
    cdef const unsigned char *bytes_
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        bytes_ = <const unsigned char *>view.buf
        with nogil:
            md5_start(state)
            md5_blocks(state, bytes_, view.len // 64)
            md5_finish(state, bytes_ + view.len - view.len % 64, view.len % 64, view.len, digest)
        return <bytes>digest[:16]
    finally:
        PyBuffer_Release(&view)


def _use_tables(tables):
    """Compute CRCs from tables, and each digest by itself (True), or all as fast as this processor can (False).

    In the whole process, by Chunkers to come: for the tests. Returns whether there is another way than tables here.
    """
    global crc_folds, digests_go_together
    crc_folds = crc_can_fold() and not tables
    digests_go_together = digests_can_go_together() and not tables
    return crc_can_fold()
