"""DICOM files that may hold anything, parsed within bounds: no file takes unlimited memory or time.

pydicom believes every length that a file declares and reads on as long as there are bytes.
"""

from __future__ import annotations

import io
import os
import zlib
from pathlib import Path

from pydicom.dataset import FileDataset
from pydicom.filereader import read_partial
from pydicom.tag import Tag

MAX_SIDE = 4096
MAX_PIXEL_BYTES = 4 * 1024**3
MAX_ELEMENT_BYTES = 64 * 1024**2
"""No element before the pixel data that T1Diff looks at is nearly as long; a longer one is skipped."""
MAX_INFLATED_BYTES = 256 * 1024**2
MAX_ELEMENTS = 100_000
MAX_READS = 2_000_000
"""Some thirty times what the functional groups of a whole cine take, and seconds for the parser."""

_PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
_PIXEL_MODULE = [
    Tag(keyword)
    for keyword in (
        "SOPClassUID", "SOPInstanceUID", "SamplesPerPixel", "PhotometricInterpretation",
        "PlanarConfiguration", "NumberOfFrames", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit",
        "PixelRepresentation", "ExtendedOffsetTable", "ExtendedOffsetTableLengths", "FloatPixelData",
        "DoubleFloatPixelData", "PixelData",
    )
]  # fmt: skip


class UnreadableFile(ValueError):
    """A file that claims more than it can be given."""


class _Bounded(io.BufferedReader):
    """A file of which no single read is longer than `longest`, and which ends the parser's patience."""

    def __init__(self, path, longest: int):
        super().__init__(io.FileIO(path))
        self._longest, self._reads = longest, 0

    def read(self, size: int | None = -1, /) -> bytes:
        self._reads += 1
        if self._reads > MAX_READS:
            raise UnreadableFile("endless elements")
        if size is None or size < 0:
            # pydicom reads to the end only to inflate what it then parses
            data = super().read(self._longest + 1)
            if len(data) > self._longest:
                raise UnreadableFile("too long")
            _check_inflated(data)
            return data
        if size > self._longest:
            raise UnreadableFile("an element longer than any")
        # a length that the file does not hold is not worth a buffer of that size
        left = size if size < 2**20 else max(0, self._end() - self.tell())
        return super().read(min(size, left))

    def _end(self) -> int:
        return os.fstat(self.fileno()).st_size


def open_bounded(path: Path, longest: int = MAX_ELEMENT_BYTES) -> io.BufferedReader:
    """`path`, opened for `header_of`. OSError."""
    return _Bounded(path, longest)


def header_of(handle: io.BufferedReader, last_tag: int = 0x7FE00007, only=None) -> FileDataset:
    """Every element up to `last_tag`, or of these only the tags `only`.

    Any exception when it cannot be parsed. Elements longer than MAX_ELEMENT_BYTES are passed over.
    """
    return read_partial(
        handle, stop_when=_stopper(last_tag), defer_size=MAX_ELEMENT_BYTES, force=True, specific_tags=only
    )


def pixels_of(path: Path) -> FileDataset:
    """What describes the pixels, and these; any exception when it cannot be parsed."""
    with open_bounded(path, MAX_PIXEL_BYTES) as handle:
        return read_partial(handle, stop_when=_stopper(_PIXELS[-1]), force=True, specific_tags=_PIXEL_MODULE)


def _stopper(last_tag: int):
    count = 0

    def stop(tag, vr, length) -> bool:
        nonlocal count
        count += 1
        if count > MAX_ELEMENTS:
            raise UnreadableFile("endless elements")
        return tag > last_tag

    return stop


def _check_inflated(data: bytes) -> None:
    inflater, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while data and not inflater.eof:
        size += len(inflater.decompress(data, 2**20))
        if size > MAX_INFLATED_BYTES:
            raise UnreadableFile("too long when inflated")
        data = inflater.unconsumed_tail
