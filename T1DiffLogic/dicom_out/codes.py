"""The coded concepts of the DICOM objects (PS3.16; SNOMED CT, DICOM, UCUM)."""

from __future__ import annotations

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept

from ..study import LV_CAVITY, LV_MYOCARDIUM, RV


def _concept(value: str, scheme: str, meaning: str) -> CodedConcept:
    return CodedConcept(value, scheme, meaning)


MILLISECOND = _concept("ms", "UCUM", "ms")
NO_UNITS = _concept("1", "UCUM", "no units")
T1 = _concept("113063", "DCM", "T1")
MEAN = _concept("373098007", "SCT", "Mean")
STANDARD_DEVIATION = _concept("386136009", "SCT", "Standard Deviation")
DERIVATION = _concept("121401", "DCM", "Derivation")
ANATOMICAL_STRUCTURE = _concept("123037004", "SCT", "Anatomical Structure")
LV_MYOCARDIUM_CODE = _concept("49848007", "SCT", "Myocardium of left ventricle")
HEART = _concept("80891009", "SCT", "Heart")
ARTIFICIAL_INTELLIGENCE = _concept("123110", "DCM", "Artificial Intelligence")

OWN_SCHEME = "99T1DIFF"
OWN_SCHEME_ITEM = CodingSchemeIdentificationItem(
    OWN_SCHEME, name="Concepts of T1Diff", responsible_organization="The T1Diff contributors"
)
UNCERTAINTY = _concept("uncertainty", OWN_SCHEME, "SD of the mean T1 over the drawn samples")
PIXEL_COUNT = _concept("pixels", OWN_SCHEME, "Number of pixels")
"""Concepts without a standard code in CID 7469 or CID 7464."""

STRUCTURES = {
    RV: _concept("53085002", "SCT", "Right ventricle"),
    LV_MYOCARDIUM: LV_MYOCARDIUM_CODE,
    LV_CAVITY: _concept("87878005", "SCT", "Left ventricle"),
}
"""Segmented property types, as in the .seg.nrrd."""

_AHA_CODES = (
    "264850008 396482007 396646008 264846001 396652009 396654005 "
    "264848000 396647004 396649001 264847005 396655006 396656007 "
    "264844003 264845002 264849008 264853005"
)
_AHA_NAMES = tuple(
    [
        f"left ventricle {level} {wall} segment"
        for level in ("basal", "mid")
        for wall in (
            "anterior", "anteroseptal", "inferoseptal", "inferior", "inferolateral", "anterolateral"
        )
    ]
    + [f"left ventricle apical {wall} segment" for wall in ("anterior", "septal", "inferior", "lateral")]
)  # fmt: skip
AHA_SITES = tuple(_concept(c, "SCT", m) for c, m in zip(_AHA_CODES.split(), _AHA_NAMES, strict=True))
"""AHA segments 1 to 16: CID 3717, Left Ventricle Myocardial Wall 17 Segment Model."""
