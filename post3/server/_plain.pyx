# cython: language_level=3
"""Heads of the plain kind, as nearly all are, read in one pass over their bytes.

What is not plain is left to head.py, which knows what to refuse and why: so nothing is decided here, and whatever is
read here is read alike there. Plain is a head of HTTP/1.1 in printable ASCII, whose names differ, with a method of
capitals and a target that begins with a slash; what tells of codings and expectations is not.
"""

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.string cimport memcmp

cdef enum:
    MAX_NAME = 64  # bytes
    MAX_LENGTH = 18  # digits of a Content-Length

# What a name's byte is in lower case, and whether a target may hold it; 0 for those that neither may.
cdef unsigned char _lower[256]
cdef bint _in_target[256]

for _byte in range(256):
    _char = chr(_byte)
    _is_word = _byte < 128 and _char.isalnum()
    _lower[_byte] = ord(_char.lower()) if _is_word or _char in "!#$%&'*+-.^_`|~" else 0
    _in_target[_byte] = _is_word or _char in "/-._~%?&=+,;:@!$'()*"


def parse_plain(bytearray buffer, Py_ssize_t end):
    """Method, target and headers (lower-case names, values trimmed) of the head that ends there in the buffer, before
    its empty line; None unless it is plain.
    """
    if not 0 <= end <= PyByteArray_GET_SIZE(buffer):
        raise ValueError("a head ends in its buffer")
    cdef const unsigned char *text = <const unsigned char *>PyByteArray_AS_STRING(buffer)
    cdef Py_ssize_t at = 0, target
    while at < end and c"A" <= text[at] <= c"Z":
        at += 1
    if not at or end - at < 2 or text[at] != c" " or text[at + 1] != c"/":
        return None
    target = at + 1
    at = target
    while at < end and _in_target[text[at]]:
        at += 1
    if end - at < 9 or memcmp(text + at, b" HTTP/1.1", 9):
        return None
    headers = _headers(text, at + 9, end)
    if headers is None:
        return None
    return _text(text, 0, target - 1), _text(text, target, at), headers


cdef dict _headers(const unsigned char *text, Py_ssize_t at, Py_ssize_t end):
    """The headers on the lines from here, each behind the end of another; None unless all are plain."""
    cdef dict headers = {}
    cdef unsigned char name[MAX_NAME]
    cdef Py_ssize_t length, began, stop, lines = 0
    while at < end:
        if end - at < 2 or text[at] != c"\r" or text[at + 1] != c"\n":
            return None
        at += 2
        length = 0
        while at < end and length < MAX_NAME and _lower[text[at]]:
            name[length] = _lower[text[at]]
            length += 1
            at += 1
        if not length or at == end or text[at] != c":":
            return None
        at += 1
        while at < end and _is_blank(text[at]):
            at += 1
        began = at
        while at < end and (c" " <= text[at] <= c"~" or text[at] == c"\t"):
            at += 1
        stop = at
        while stop > began and _is_blank(text[stop - 1]):
            stop -= 1
        if not _is_plain(name, length, text + began, stop - began):
            return None
        headers[_text(name, 0, length)] = _text(text, began, stop)
        lines += 1
    return headers if len(headers) == lines else None


cdef bint _is_plain(const unsigned char *name, Py_ssize_t length, const unsigned char *value, Py_ssize_t size) noexcept:
    """Whether a header has no say in where the body ends, or tells its length in digits."""
    cdef Py_ssize_t at
    if length == 6:
        return memcmp(name, b"expect", 6) != 0
    if length == 17:
        return memcmp(name, b"transfer-encoding", 17) != 0
    if length != 14 or memcmp(name, b"content-length", 14):
        return True
    for at in range(size):
        if not c"0" <= value[at] <= c"9":
            return False
    return 0 < size <= MAX_LENGTH


cdef bint _is_blank(unsigned char byte) noexcept:
    return byte == c" " or byte == c"\t"


cdef str _text(const unsigned char *text, Py_ssize_t start, Py_ssize_t stop):
    return PyUnicode_DecodeASCII(<const char *>text + start, stop - start, NULL)
