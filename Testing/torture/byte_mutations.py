"""What can be wrong inside one DICOM file. Each function takes (rng, content) and returns other content."""

from __future__ import annotations

import random
import struct
import zlib

from elements import ITEM, PIXELS, VRS, drop, element, find, nested, put, spans, within
from nasty_values import CHARACTER_SETS, LENGTHS, NUMBERS, SYNTAXES, TEXTS

PATIENT = (0x00100010, 0x00100020, 0x00100030, 0x00080050)
_SIZES = {
    0x00280010: b"US", 0x00280011: b"US", 0x00280100: b"US", 0x00280101: b"US", 0x00280102: b"US",
    0x00280103: b"US", 0x00280002: b"US", 0x00280006: b"US", 0x00280008: b"IS", 0x00280004: b"CS",
}  # fmt: skip
_GEOMETRY = {0x00200032: 3, 0x00200037: 6, 0x00280030: 2, 0x00180050: 1, 0x00180088: 1}
_TIMES = (0x00181060, 0x00181062, 0x00181088, 0x00080032, 0x00080022, 0x00181090, 0x00200013, 0x00200100,
          0x00180082, 0x0008002A)  # fmt: skip
_SCALES = (0x00281052, 0x00281053, 0x2005100D, 0x2005100E, 0x00180087)
_NESTED_NUMBERS = (0x00200032, 0x00200037, 0x00280030, 0x00180050, 0x00209153, 0x00209251, 0x00281052,
                   0x00281053, 0x00189079, 0x00209157, 0x00209057)  # fmt: skip
_UIDS = (0x00080018, 0x0020000D, 0x0020000E, 0x00080016, 0x00200052)


def _start_of_pixels(data: bytes) -> int:
    pixels = find(data, PIXELS)
    return pixels[0].start if pixels else len(data)


def flip_header_bits(rng: random.Random, data: bytes) -> bytes:
    return _flipped(rng, data, 128, _start_of_pixels(data))


def flip_pixel_bits(rng: random.Random, data: bytes) -> bytes:
    return _flipped(rng, data, min(_start_of_pixels(data), len(data) - 1), len(data))


def _flipped(rng, data: bytes, first: int, end: int) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        changed[rng.randrange(first, end)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def truncate(rng, data: bytes) -> bytes:
    return data[
        : rng.choice((0, 100, 132, rng.randrange(len(data)), rng.randrange(len(data)), len(data) - 1))
    ]


def splice(rng, data: bytes) -> bytes:
    at, to = rng.randrange(len(data)), rng.randrange(len(data))
    return data[:at] + data[to:]


def wrong_vr(rng, data: bytes) -> bytes:
    """Another VR on the same bytes, or a whole element written with another."""
    span = rng.choice(spans(data))
    if rng.random() < 0.5 or span.depth:
        return data[: span.start + 4] + rng.choice(VRS) + data[span.start + 6 :]
    return put(data, span.tag, rng.choice(VRS), data[span.value : span.end])


def nasty_value(rng, data: bytes) -> bytes:
    span = rng.choice(spans(data))
    value = rng.choice((*TEXTS, *NUMBERS, rng.randbytes(rng.choice((1, 4, 8, 64)))))
    return put(data, span.tag, span.vr, value) if span.depth == 0 else within(data, span, value)


def false_length(rng, data: bytes) -> bytes:
    """A length that the file does not hold."""
    span = rng.choice(spans(data))
    length = rng.choice(LENGTHS)
    if span.value - span.start == 12:
        return data[: span.start + 8] + struct.pack("<I", length) + data[span.value :]
    return data[: span.start + 6] + struct.pack("<H", length & 0xFFFF) + data[span.value :]


def huge_element(rng, data: bytes) -> bytes:
    """An element of a VR with long lengths that claims gigabytes."""
    new = element(rng.choice((0x00091010, 0x00204000, 0x00081110, 0x52009230)),
                  rng.choice((b"OB", b"UT", b"UN", b"SQ", b"OW")), b"abcd", rng.choice(LENGTHS))  # fmt: skip
    at = rng.choice(spans(data)).start
    return data[:at] + new + data[at:]


def missing_elements(rng, data: bytes) -> bytes:
    tags = [s.tag for s in spans(data) if s.depth == 0]
    for tag in rng.sample(tags, min(len(tags), rng.choice((1, 1, 2, 5, 20)))):
        data = drop(data, tag)
    return data


def missing_nested(rng, data: bytes) -> bytes:
    """A tag inside of sequences made another one, so that it is missing there."""
    inner = [s for s in spans(data) if s.depth] or spans(data)
    span = rng.choice(inner)
    tag = struct.pack("<HH", 0x0009, rng.randrange(0x1000, 0xFFFF))
    return data[: span.start] + tag + data[span.start + 4 :]


def repeated_elements(rng, data: bytes) -> bytes:
    """Elements twice, or not in order of tags."""
    top = [s for s in spans(data) if s.depth == 0]
    a, b = rng.choice(top), rng.choice(top)
    return data[: a.start] + data[b.start : b.end] + data[a.start :]


def absurd_size(rng, data: bytes) -> bytes:
    tag = rng.choice(list(_SIZES))
    if _SIZES[tag] == b"US":
        number = rng.choice((0, 1, 2, 3, 7, 8, 11, 13, 17, 32, 64, 255, 4096, 4097, 32768, 65535))
        value = struct.pack("<H", number) * rng.choice((1, 1, 1, 0, 3))
    else:
        value = rng.choice((*NUMBERS, b"RGB", b"PALETTE COLOR", b"YBR_FULL_422", b"2147483647", b"1000000"))
    vr = _SIZES[tag] if rng.random() < 0.8 else rng.choice(VRS)
    return put(data, tag, vr, value)


def absurd_geometry(rng, data: bytes) -> bytes:
    tag, count = rng.choice(list(_GEOMETRY.items()))
    if rng.random() < 0.2:
        count = rng.choice((0, 1, 2, 7, 500))
    return _numbers(rng, data, tag, count)


def absurd_time(rng, data: bytes) -> bytes:
    return _numbers(rng, data, rng.choice(_TIMES), 1)


def absurd_scale(rng, data: bytes) -> bytes:
    return _numbers(rng, data, rng.choice(_SCALES), 1)


def absurd_nested(rng, data: bytes) -> bytes:
    """Numbers in the functional groups of an enhanced object; elsewhere those of the data set."""
    inner = [s for s in spans(data) if s.depth and s.tag in _NESTED_NUMBERS]
    if not inner:
        return absurd_geometry(rng, data)
    for span in rng.sample(inner, min(len(inner), rng.choice((1, 1, 3, 50)))):
        if span.vr in (b"FD", b"UL", b"AT", b"US"):
            number = rng.choice((float("nan"), float("inf"), -1e308, -5.0, 0.0))
            value = rng.choice((struct.pack("<d", number),
                                b"\0" * 16, b"\xff" * 16, rng.randbytes(16)))  # fmt: skip
            data = data[: span.value] + (value * 20)[: span.length] + data[span.end :]
        else:
            data = within(data, span, rng.choice(NUMBERS))
    return data


def _numbers(rng, data: bytes, tag: int, count: int) -> bytes:
    there = [s for s in spans(data) if s.tag == tag]
    span = rng.choice(there) if there else None
    old = data[span.value : span.end].split(b"\\") if span else []
    values = [old[k].strip() if k < len(old) else b"1" for k in range(count)]
    for k in rng.sample(range(count), min(count, rng.choice((1, 1, count)))):
        values[k] = rng.choice(NUMBERS)
    value = b"\\".join(values)
    if span is not None and span.depth:
        return within(data, span, value)
    return put(data, tag, b"DS" if rng.random() < 0.8 else rng.choice(VRS), value)


def deep_sequences(rng, data: bytes) -> bytes:
    depth = rng.choice((3, 50, 400, 1200, 3000))
    tag = rng.choice((0x00081140, 0x00091010, 0x52009229, 0x52009230, 0x00209222))
    new = nested(depth, rng.random() < 0.5, tag)
    data = drop(data, tag)
    at = next((s.start for s in spans(data) if s.depth == 0 and s.tag > tag), len(data))
    return data[:at] + new + data[at:]


def damaged_groups(rng, data: bytes) -> bytes:
    """Sequences without items, or with other things where items should be."""
    sequences = [s for s in spans(data) if s.vr == b"SQ"]
    if not sequences:
        return put(data, rng.choice((0x52009230, 0x52009229, 0x00209222)), rng.choice((b"SQ", b"UN", b"LO")),
                   rng.choice((b"", b"abcdefgh", struct.pack("<HHI", 0xFFFE, 0xE000, 0))))  # fmt: skip
    span = rng.choice([s for s in sequences if s.depth == 0] or sequences)
    if span.depth == 0 and rng.random() < 0.6:
        kept = data[span.value : span.end]
        value = rng.choice((b"", kept[: rng.randrange(len(kept) + 1)], kept + kept[:9], b"\0" * 8,
                            struct.pack("<HHI", ITEM >> 16, ITEM & 0xFFFF, 0)))  # fmt: skip
        return put(data, span.tag, rng.choice((b"SQ", b"SQ", b"UN", b"LO", b"OB")), value)
    return _flipped(rng, data, span.value, max(span.end, span.value + 1))


def character_set(rng, data: bytes) -> bytes:
    data = put(data, 0x00080005, b"CS", rng.choice(CHARACTER_SETS))
    return put(data, 0x0008103E, b"LO", b"cine \xc4\x1b$B\xff SAX") if rng.random() < 0.5 else data


def strange_uid(rng, data: bytes) -> bytes:
    return put(data, rng.choice(_UIDS), b"UI", rng.choice((*TEXTS, b"1.2.3", b"")))


def strange_identity(rng, data: bytes) -> bytes:
    """Patient elements with path tricks and pattern characters around the name that must not be told."""
    tag = rng.choice(PATIENT)
    old = find(data, tag)
    kept = data[old[0].value : old[0].end].strip() if old else b""
    trick = rng.choice((b"../../", b"((((", b"\\\\", b"[a-z", b"\0", b"x" * 3000, b"/etc/", b"^^^^", b"\n"))
    return put(data, tag, find(data, tag)[0].vr if old else b"LO", trick + kept + rng.choice((b"", trick)))


def colour(rng, data: bytes) -> bytes:
    data = put(data, 0x00280002, b"US", struct.pack("<H", 3))
    data = put(data, 0x00280004, b"CS", rng.choice((b"RGB", b"YBR_FULL", b"PALETTE COLOR", b"MONOCHROME2")))
    if rng.random() < 0.5:
        pixels = find(data, PIXELS)
        data = put(data, PIXELS, b"OW", data[pixels[0].value :] * 3 if pixels else b"")
    return data


def transfer_syntax(rng, data: bytes) -> bytes:
    """A transfer syntax that the bytes do not follow, or no file meta information."""
    if rng.random() < 0.2:
        return data[132:] if rng.random() < 0.5 else rng.randbytes(128) + data[128:]
    data = put(data, 0x00020010, b"UI", rng.choice(SYNTAXES))
    return put(data, 0x00280008, b"IS", b"200") if rng.random() < 0.3 else data


def deflated(rng, data: bytes) -> bytes:
    """The data set deflated (PS3.5 A.5), at times with gigabytes of zeros behind it, or cut short."""
    data = put(data, 0x00020010, b"UI", b"1.2.840.10008.1.2.1.99")
    at = next(s.start for s in spans(data) if s.tag >> 16 > 2)
    packer = zlib.compressobj(1, wbits=-15)
    packed = packer.compress(data[at:])
    if rng.random() < 0.15:
        block = b"\0" * 2**24
        packed += packer.compress(element(0xFFFCFFFC, b"OB", b"", 2**31))
        packed += b"".join(packer.compress(block) for _ in range(40))
    packed += packer.flush()
    return data[:at] + (packed if rng.random() < 0.6 else packed[: rng.randrange(len(packed))])


def garbage(rng, data: bytes) -> bytes:
    return rng.choice((b"", b"\0" * 128 + b"DICM")) + rng.randbytes(rng.choice((1, 40, 2000)))


MUTATIONS = (
    flip_header_bits, flip_pixel_bits, truncate, splice, wrong_vr, nasty_value, false_length, huge_element,
    missing_elements, missing_nested, repeated_elements, absurd_size, absurd_geometry, absurd_time,
    absurd_scale, absurd_nested, deep_sequences, damaged_groups, character_set, strange_uid,
    strange_identity, colour, transfer_syntax, deflated, garbage,
)  # fmt: skip


def survivable(data: bytes) -> bool:
    """Whether the walker of `elements` still finds its way, so that a further mutation can be made."""
    try:
        return len(data) > 200 and len(spans(data)) > 0
    except (struct.error, RecursionError):
        return False
