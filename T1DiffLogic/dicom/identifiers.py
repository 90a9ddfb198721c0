"""What headers say of who the patient is, and texts without it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from pydicom.dataset import Dataset

_NAMES = ("PatientName", "OtherPatientNames", "PatientBirthName")
_IDENTIFYING = (*_NAMES, "PatientID", "OtherPatientIDs", "AccessionNumber", "PatientBirthDate")


def text_of(header: Dataset, keyword: str) -> str:
    """The value of an element as text; "" when it is absent, empty or cannot be converted."""
    try:
        value = header.get(keyword)
        return "" if value is None else str(value).strip()
    # pydicom converts on access, so a malformed value raises here, in any way; it counts as absent.
    except Exception:
        return ""


@dataclass(frozen=True)
class Identifiers:
    """Parts of names, IDs, birth dates and accession numbers, each with whether it is of a name."""

    parts: frozenset[tuple[str, bool]] = frozenset()

    @classmethod
    def of(cls, header: Dataset) -> Identifiers:
        """What one header says.

        Parts of a name that are two letters short ("Li") go only as words of their own: within words they
        are syllables of anything, and a "slice" or a "file" would lose its meaning.
        """
        parts = set()
        for keyword in _IDENTIFYING:
            of_name = keyword in _NAMES
            # brackets and quotes are those that pydicom writes around several values
            for part in re.split(r"[\^=,;\\\s\[\]'\"]+", text_of(header, keyword)):
                if len(part) > 2 or (len(part) == 2 and of_name):
                    parts.add((part.lower(), of_name))
        return cls(frozenset(parts))

    def __or__(self, other: Identifiers) -> Identifiers:
        return self if other.parts <= self.parts else Identifiers(self.parts | other.parts)

    @cached_property
    def _pattern(self) -> re.Pattern:
        longest_first = sorted(self.parts, key=lambda p: (-len(p[0]), p[0]))
        patterns = [
            rf"(?<![^\W\d_]){re.escape(part)}(?![^\W\d_])" if of_name and len(part) == 2 else re.escape(part)
            for part, of_name in longest_first
        ]
        return re.compile("|".join(patterns), re.IGNORECASE)

    def removed_from(self, text: str) -> str:
        """`text` with every part as '…'."""
        return self._pattern.sub("…", text) if self.parts else text


def without_identifiers(text: str, header: Dataset) -> str:
    """`text` with every part of the patient's name, ID, birth date or accession number as '…'."""
    return Identifiers.of(header).removed_from(text)
