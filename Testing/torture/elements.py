"""DICOM data elements as bytes: found, replaced, lied about, without any library that would object."""

from __future__ import annotations

import struct
from dataclasses import dataclass

LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
"""Value representations with a length of 32 bits (PS3.5 7.1.2)."""

VRS = (
    *(b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO", b"LT", b"PN", b"SH"),
    *(b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US", b"ZZ", b"\0\0"),
    *sorted(LONG),
)
UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
PIXELS = 0x7FE00010


@dataclass(frozen=True)
class Span:
    """Where one element lies in the bytes of a file: its tag begins at `start`, its value at `value`.

    length  as declared; depth 0 is the data set itself, deeper is inside of sequences
    """

    tag: int
    vr: bytes
    start: int
    value: int
    length: int
    depth: int

    @property
    def end(self) -> int:
        return self.value + self.length


def spans(data: bytes) -> list[Span]:
    """Every element of a sound Part 10 file in Explicit VR Little Endian, sequences opened."""
    found: list[Span] = []
    _walk(data, 132, len(data), 0, found)
    return found


def _walk(data: bytes, at: int, end: int, depth: int, found: list[Span]) -> int:
    while at + 8 <= end:
        tag = struct.unpack_from("<HH", data, at)
        tag = tag[0] << 16 | tag[1]
        if tag in (ITEM, ITEM_END, SEQUENCE_END):
            length = struct.unpack_from("<I", data, at + 4)[0]
            if tag == ITEM:
                stop = end if length == UNDEFINED else at + 8 + length
                at = _walk(data, at + 8, stop, depth, found)
            else:
                at += 8
            continue
        vr = data[at + 4 : at + 6]
        if vr in LONG:
            value, length = at + 12, struct.unpack_from("<I", data, at + 8)[0]
        else:
            value, length = at + 8, struct.unpack_from("<H", data, at + 6)[0]
        inside = end - value if length == UNDEFINED else length
        found.append(Span(tag, vr, at, value, inside, depth))
        if vr == b"SQ":
            _walk(data, value, value + inside, depth + 1, found)
        at = value + inside
    return at


def find(data: bytes, tag: int, depth: int | None = 0) -> list[Span]:
    """The elements of `tag`, at any depth for None."""
    return [s for s in spans(data) if s.tag == tag and depth in (None, s.depth)]


def element(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    """The bytes of one element; `length` is what it claims, the truth (made even) by default."""
    if length is None:
        value += b"\0" * (len(value) % 2) if vr in (*LONG, b"UI") else b" " * (len(value) % 2)
        length = len(value)
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr
    if vr in LONG:
        return head + struct.pack("<HI", 0, length & 0xFFFFFFFF) + value
    return head + struct.pack("<H", min(length, 0xFFFF)) + value


def put(data: bytes, tag: int, vr: bytes, value: bytes) -> bytes:
    """`data` with the element `tag` of the data set replaced by, or given, this value."""
    new = element(tag, vr, value)
    there = [s for s in spans(data) if s.depth == 0 and s.tag >= tag]
    if there and there[0].tag == tag:
        return data[: there[0].start] + new + data[there[0].end :]
    at = there[0].start if there else len(data)
    return data[:at] + new + data[at:]


def drop(data: bytes, tag: int) -> bytes:
    """`data` without the element `tag` of the data set."""
    for span in reversed(find(data, tag)):
        data = data[: span.start] + data[span.end :]
    return data


def within(data: bytes, span: Span, value: bytes) -> bytes:
    """`data` with the value of `span`, wherever it lies, cut or padded to the length that it has."""
    value = value[: span.length].ljust(span.length, b" ")
    return data[: span.value] + value + data[span.end :]


def nested(depth: int, undefined: bool, tag: int = 0x00081140) -> bytes:
    """A sequence in a sequence, `depth` deep."""
    if undefined:
        head = element(tag, b"SQ", b"", UNDEFINED) + struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED)
        tail = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
        return head * depth + tail * depth
    heads, length = [], 0
    for _ in range(depth):
        heads.append(element(tag, b"SQ", b"", length + 8) + struct.pack("<HHI", 0xFFFE, 0xE000, length))
        length += 20
    return b"".join(reversed(heads))
