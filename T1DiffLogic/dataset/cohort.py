"""A hospital's folder as patients with pseudonyms, each with what is needed to read its examination."""

from __future__ import annotations

import csv
import hashlib
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from ..batch.cohort import FoundStudy, Part, files_of, find_studies, inputs_of
from ..batch.records import digest
from ..dicom.files import SelectedFiles, find_images
from ..dicom.identifiers import without_identifiers
from ..errors import StudyError, UsageError
from ..study import Cine, T1Map
from ..study_files import T1_MAP_SUFFIX
from ..volumes import VOLUME_SUFFIXES
from .pairing import Examination

PATIENT_BY = ("id", "folder", "study")

SHARED_BY = 0.5
"""A PatientID that more than this share of four or more studies carries was made by an anonymiser."""

_T1_WORD = re.compile(r"t1", re.IGNORECASE)
_FIRST_BYTES = 2**20


@dataclass(frozen=True)
class Study:
    """One examination of a patient on disk: batch.cohort.FoundStudy, and a T1 volume beside a cine volume."""

    parts: tuple[Part, ...]
    place: str
    is_volume: bool
    t1_volume: str = ""


@dataclass(frozen=True)
class CohortSource:
    """The examinations of one patient below the folder `root`, earliest first."""

    root: str
    studies: tuple[Study, ...]
    inputs: str
    sparse: bool = False

    def load(self) -> Examination:
        """The earliest examination that has a cine and a native map of its own.

        Raises StudyError with the reason of the first one otherwise: two examinations have no common patient
        coordinates, so that a cine of one cannot be paired with a map of the other.
        """
        first: StudyError | None = None
        for study in self.studies:
            try:
                return self._read(study)
            except StudyError as error:
                first = first or error
        raise first

    def clean(self, sentence: str) -> str:
        """`sentence` without what the headers tell of the patient, and without folders: their names, too, may
        be the patient's."""
        for study in self.studies:
            header = None if study.is_volume else _header(Path(self.root), study)
            if header is not None:
                sentence = without_identifiers(sentence, header)
        sentence = sentence.replace(self.root, "…")
        for part in {p for study in self.studies for folder, _ in study.parts for p in folder.split("/")}:
            # only where it stands in a path: a folder may be called "cine"
            name = re.escape(part)
            sentence = re.sub(rf"(?<!\w){name}(?=[/\\])|(?<=[/\\]){name}(?!\w)", "…", sentence)
        return sentence

    def _read(self, study: Study) -> Examination:
        root = Path(self.root)
        if study.is_volume:
            from ..loading import load_cine, load_t1_map

            folder, (name,) = study.parts[0]
            if not study.t1_volume:
                raise StudyError(
                    f"beside {name} lies no volume with T1 in its name; put the native map there."
                )
            return Examination(load_cine(root / folder / name), load_t1_map(root / study.t1_volume))
        from ..dicom.cine import read_cine
        from .native import load_native

        selection = SelectedFiles(root, tuple(files_of(root, study.parts)))
        return Examination(read_cine(selection), load_native(selection))


@dataclass(frozen=True)
class ReconSource:
    """One person of a CMRxRecon download."""

    cine: Callable[[], Cine]
    t1: Callable[[], T1Map]
    inputs: str
    sparse: bool = False

    def load(self) -> Examination:
        return Examination(self.cine(), self.t1())

    def clean(self, sentence: str) -> str:
        return sentence


@dataclass(frozen=True)
class Found:
    """A patient under a pseudonym; `identity` and `places` are for the key file alone."""

    name: str
    source: CohortSource | ReconSource
    identity: str
    places: tuple[str, ...]


def find_patients(
    cohort: Path, leave_out: Path | None = None, by: str = "id", seen: Callable[[int], None] | None = None
) -> tuple[list[Found], list[str]]:
    """The patients below `cohort` in order of their pseudonyms, and sentences on what could not be searched.

    by  what makes a patient: "id" PatientID (0010,0020), a study without one being its own patient; "folder"
        the topmost folder below the cohort; "study" each study

    A pseudonym is a hash of what makes the patient and of the images' own UIDs (or, of a volume file, its
    content), so that it stays when patients are added and cannot be found by trying patient IDs.
    Raises StudyError when nothing is found, or one PatientID is that of half the cohort.
    """
    from ..cmrxrecon.studies import is_cohort, studies

    if by not in PATIENT_BY:
        raise UsageError(f"a patient is told by {', '.join(PATIENT_BY)}, not by {by!r}.")
    cohort = Path(cohort).resolve()
    if not cohort.is_dir():
        raise StudyError(f"{cohort} is not a folder; give the folder that holds the patients.")
    if is_cohort(cohort):
        people = [_person(cohort, name, cine, t1) for name, cine, t1 in studies(cohort)]
        return sorted(people, key=lambda p: p.name), []
    found, problems = find_studies(cohort, leave_out, seen)
    known = [(study, *_identity(cohort, study, by)) for study in found]
    if by == "id":
        _check_shared([identity for study, identity, _, _ in known if not study.is_volume])
    groups = defaultdict(list)
    for study, identity, date, origin in known:
        groups[identity].append((date, origin, study))
    patients = [_patient(cohort, identity, group) for identity, group in groups.items()]
    return sorted(patients, key=lambda p: p.name), problems


def write_key(path: Path, patients: list[Found], dataset: Path) -> None:
    """Who is who: pseudonym, what made the patient, places on disk. Readable by its owner alone.

    Raises UsageError when `path` lies in the dataset, which must not hold it; OSError.
    """
    path = Path(path).resolve()
    if Path(dataset).resolve() in path.parents:
        raise UsageError("--key must lie outside the dataset, which is made to be given to others.")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(["patient", "identity", "places"])
        writer.writerows([p.name, p.identity, "; ".join(p.places)] for p in patients)


def _patient(cohort: Path, identity: str, group: list[tuple[str, str, FoundStudy]]) -> Found:
    group = sorted(group, key=lambda item: item[:2])
    studies, inputs = [], []
    for _, _, study in group:
        t1 = _t1_beside(cohort, study) if study.is_volume else ""
        studies.append(Study(study.parts, study.place, study.is_volume, t1))
        inputs.append(study.inputs)
        if t1:
            folder, name = os.path.split(t1)
            inputs.append(inputs_of(cohort, ((folder or ".", (name,)),)))
    name = f"P{_hash(f'{identity} {group[0][1]}')}"
    source = CohortSource(str(cohort), tuple(studies), digest(inputs))
    return Found(name, source, identity, tuple(study.place for study in studies))


def _person(cohort: Path, name: str, cine: partial, t1: partial) -> Found:
    folders = (Path(cine.args[0]), Path(t1.args[0]))
    inputs = digest([inputs_of(folder, ((".", None),)) for folder in folders])
    places = tuple(folder.relative_to(cohort).as_posix() for folder in folders)
    return Found(name, ReconSource(cine, t1, inputs), name, places)


def _identity(cohort: Path, study: FoundStudy, by: str) -> tuple[str, str, str]:
    """(what makes the patient, date and time of the study, what only who has the images can know)."""
    header = None if study.is_volume else _header(cohort, study)
    uid = "" if header is None else str(header.get("StudyInstanceUID", "") or "")
    origin = uid or _content(cohort, study)
    date = "" if header is None else f"{header.get('StudyDate', '')}{header.get('StudyTime', '')}"
    if by == "folder":
        parts = PurePosixPath(study.place).parts
        # a study that lies in the cohort's own folder is its own patient
        identity = f"folder {parts[0]}" if parts and parts != (".",) else f"study {origin}"
    else:
        number = "" if header is None or by == "study" else str(header.get("PatientID", "") or "").strip()
        identity = f"id {number}" if number else f"study {origin}"
    return identity, date, origin


def _check_shared(identities: list[str]) -> None:
    if len(identities) < 4:
        return
    _, count = Counter(identities).most_common(1)[0]
    if count > SHARED_BY * len(identities):
        raise StudyError(
            f"{count} of {len(identities)} studies have the same PatientID (0010,0020), as in anonymised "
            "exports; say what makes a patient with --patient-by folder or --patient-by study."
        )


def _header(root: Path, study):
    """The header of one image of a study; None when none can be read."""
    try:
        for name in files_of(root, study.parts):
            try:
                return find_images(root / name).images[0].header
            except StudyError:
                continue
    except OSError:
        pass
    return None


def _t1_beside(cohort: Path, study: FoundStudy) -> str:
    """The one volume with T1 in its name beside a cine volume, relative to the cohort; "" without one."""
    folder, (own,) = study.parts[0]
    names = [
        name
        for name in sorted(os.listdir(cohort / folder))
        if name != own
        and _T1_WORD.search(name)
        and name.lower().endswith((*VOLUME_SUFFIXES, T1_MAP_SUFFIX))
        and "label" not in name.lower()
    ]
    return (PurePosixPath(folder) / names[0]).as_posix() if len(names) == 1 else ""


def _content(root: Path, study: FoundStudy) -> str:
    """SHA-256 over the beginning of the first file: what a path, which may be guessed, does not tell."""
    try:
        with open(root / files_of(root, study.parts)[0], "rb") as file:
            return hashlib.sha256(file.read(_FIRST_BYTES)).hexdigest()
    except (OSError, IndexError):
        return study.key


def _hash(text: str) -> str:
    return hashlib.sha256(f"T1Diff patient {text}".encode("utf-8", "surrogateescape")).hexdigest()[:10]
