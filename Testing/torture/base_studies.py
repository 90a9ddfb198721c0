"""Small sound studies in every dialect, of patients whose names must turn up nowhere."""

from __future__ import annotations

import io
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom

from T1DiffLogic.dicom.molli import InversionSeries
from T1DiffLogic.phantom import DIALECTS
from T1DiffLogic.phantom.dicom_inversion import write_inversion_series
from T1DiffLogic.phantom.dicom_writer import write_cine, write_screenshot, write_t1_map
from T1DiffLogic.study import Cine, SliceGeometry, T1Map

SIDE, SLICES = 12, 3
PHASES = {"siemens": 3, "philips": 3, "ge": 4, "enhanced": 5}
FIRST, SECOND = 0, 1


@dataclass(frozen=True)
class Person:
    """What the headers say of a patient, and what of it a search for leaks looks for."""

    name: str
    number: str
    birth: str
    accession: str

    @property
    def marks(self) -> tuple[str, ...]:
        return (*self.name.lower().split("^"), self.number[3:], self.birth, self.accession[3:])


PEOPLE = (
    Person("Quixote^Alonso", "ZQ-447193586", "19470317", "AC-9081726354"),
    Person("Panza^Sanchico", "ZP-221078465", "19580429", "AC-5544332211"),
)
MARKS = tuple(mark for person in PEOPLE for mark in person.marks)


def base_study(dialect: str, kind: str, person: int) -> dict[str, bytes]:
    """{file name: content} of a cine, a native map ('t1'), an inversion series or a colour capture."""
    with tempfile.TemporaryDirectory() as folder:
        _WRITERS[kind](Path(folder), dialect, person)
        return {
            f"{kind}_{number:02d}": _marked(path, PEOPLE[person])
            for number, path in enumerate(sorted(p for p in Path(folder).rglob("*") if p.is_file()))
        }


def base_studies() -> dict[tuple[str, str, int], dict[str, bytes]]:
    """All of them by (dialect, kind, person)."""
    return {
        (dialect, kind, person): base_study(dialect, kind, person)
        for dialect in DIALECTS
        for kind in _WRITERS
        for person in (FIRST, SECOND)
    }


def _geometries() -> tuple[SliceGeometry, ...]:
    q, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))
    normal = np.cross(q[:, 0], q[:, 1])
    return tuple(
        SliceGeometry([-40.0, 20, 30] + 9.0 * s * normal, q[:, 0], q[:, 1], (1.5, 1.4), (SIDE, SIDE))
        for s in range(SLICES)
    )


def _cine(phases: int) -> Cine:
    y, x = np.mgrid[:SIDE, :SIDE]
    motion = np.arange(phases)[:, None, None]
    images = [220 + 120 * np.sin(x / 3 + s) + 80 * np.cos(y / 2 + motion + s) for s in range(SLICES)]
    return Cine(images, _geometries(), np.tile(12.5 + np.arange(phases) * 160.0, (SLICES, 1)))


def _t1() -> T1Map:
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    values = np.where(np.hypot(y, x) < 3, 1820.0, 1200.0) + np.random.default_rng(0).normal(
        0, 25, (SLICES, SIDE, SIDE)
    )
    return T1Map(values, _geometries())


def _inversions() -> InversionSeries:
    times = np.array([120.0, 200, 1100, 1180, 2080, 2160, 3060])
    signal = np.abs(1 - 1.9 * np.exp(-times / 1200.0))
    images = np.full((1, len(times), SIDE, SIDE), 800.0) * signal[:, None, None]
    pulses = np.array([[0, 1, 0, 1, 0, 1, 0]])
    return InversionSeries(images, times[None], pulses, _geometries()[:1], label="MOLLI")


_WRITERS = {
    "cine": lambda folder, dialect, person: write_cine(
        _cine(PHASES[dialect]), folder, dialect, seed=person + 1, patient=PEOPLE[person].number, extras=False
    ),
    "t1": lambda folder, dialect, person: write_t1_map(
        _t1(), folder, dialect, seed=person + 1, patient=PEOPLE[person].number
    ),
    "inversion": lambda folder, dialect, person: write_inversion_series(
        _inversions(), folder, dialect, seed=person + 1, patient=PEOPLE[person].number
    ),
    "capture": lambda folder, dialect, person: write_screenshot(
        _t1(), folder, seed=person + 1, patient=PEOPLE[person].number
    ),
}


def marked(dataset: pydicom.Dataset, person: Person) -> None:
    """Make `dataset` the patient's own."""
    dataset.PatientName, dataset.PatientID = person.name, person.number
    dataset.PatientBirthDate, dataset.AccessionNumber = person.birth, person.accession


def _marked(path: Path, person: Person) -> bytes:
    dataset = pydicom.dcmread(path)
    marked(dataset, person)
    content = io.BytesIO()
    dataset.save_as(content)
    return content.getvalue()
