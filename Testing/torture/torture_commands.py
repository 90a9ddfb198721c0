"""Mutated studies through whole commands: a complete OUT or none, one sentence, no patient in either."""

import json
import random
import zipfile
from pathlib import Path

import pytest
from base_studies import FIRST, MARKS, PEOPLE, base_studies, marked
from folder_mutations import KINDS, lay_out

COMMANDS_AT_FULL_SCALE = {"synthesize": 60, "batch": 12, "synthesize a heart": 20}
LIMITS = {"memory": 3 * 2**30, "cpu": 120}
QUICK = ("--samples", "1", "--steps", "1", "--device", "cpu", "--progress", "none")


@pytest.fixture(scope="module")
def bases():
    return base_studies()


@pytest.fixture(scope="module")
def heart(tmp_path_factory) -> dict[str, bytes]:
    """Two slices of a digital patient, who has the first person's name."""
    import pydicom

    from T1DiffLogic.phantom.dicom_writer import write_cine
    from T1DiffLogic.phantom.draws import patient_seed
    from T1DiffLogic.phantom.patient import digital_patient
    from T1DiffLogic.study import Cine

    folder = tmp_path_factory.mktemp("heart")
    full = digital_patient(patient_seed("test", 42), phases=8, infarcted=True).cine
    keep = slice(full.n_slices // 2 - 1, full.n_slices // 2 + 1)
    cine = Cine(full.images[keep, ::2], full.geometries[keep], full.trigger_ms[keep, ::2])
    for path in write_cine(cine, folder, "ge", patient=PEOPLE[FIRST].number, extras=False):
        dataset = pydicom.dcmread(path)
        marked(dataset, PEOPLE[FIRST])
        dataset.save_as(path)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("how", COMMANDS_AT_FULL_SCALE)
def test_a_command_ends_whole_or_in_one_sentence(how, bases, heart, tmp_path, launcher, scale, seed, count):
    total = max(1, round(COMMANDS_AT_FULL_SCALE[how] * min(1.0, scale / 10_000)))
    codes, wrong = {0: 0, 1: 0}, {}
    for number in range(total):
        rng = random.Random(f"{seed} {how} {number}")
        place = tmp_path / str(number)
        place.mkdir()
        for study in range(3 if how == "batch" else 1):
            name = rng.choice(list(KINDS))
            files = (
                heart if "heart" in how else bases[rng.choice(("siemens", "ge", "enhanced")), "cine", FIRST]
            )
            lay_out(rng, KINDS[name][0](rng, dict(files), bases), place / f"study{study}")
        before = everything_in(place)
        source = place if how == "batch" else place / "study0"
        argv = [how.split()[0], source, "-o", place / "out", *QUICK]
        argv += ["--workers", "0"] if how == "batch" else []
        ended = launcher.run(argv, tmp_path / "log", limits=LIMITS)
        codes[ended.code] = codes.get(ended.code, 0) + 1
        found = answer(ended, how) + output(place / "out", ended.code, how)
        if {path for path in everything_in(place) if "out" not in path.parts[:1]} != before:
            found.append("something was written outside of OUT")
        if found:
            wrong[number] = [*found, ended.said[-500:]]
    count(f"{how}: {total} commands on mutated studies, {codes[1]} ended with exit code 1, {codes[0]} with 0")
    assert not wrong, json.dumps(wrong, indent=1)


def everything_in(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*")}


def answer(ended, how: str) -> list[str]:
    """What is wrong with what a command said and how it ended."""
    wrong = [] if ended.code in (0, 1) and not ended.hung else [f"it ended with {ended.code}"]
    if "Traceback" in ended.said or "unexpected" in ended.said or "memory ran out" in ended.said:
        wrong.append("no proper sentence")
    if ended.code == 1 and how != "batch":
        said = ended.said.strip()
        if "\n" in said or not said.startswith("t1diff: ") or not said.endswith("."):
            wrong.append("not one sentence")
    wrong += [f"it tells {mark!r}" for mark in MARKS if mark in ended.said.lower()]
    return wrong


def output(out: Path, code: int, how: str) -> list[str]:
    """What is wrong with the folder that a command left."""
    if not out.exists():
        return []
    studies = (
        [p for p in out.iterdir() if p.is_dir() and not p.name.startswith(".")] if how == "batch" else [out]
    )
    wrong = []
    for folder in studies:
        listed = set()
        if (folder / "result.json").exists():
            files = json.loads((folder / "result.json").read_text(encoding="utf-8"))["files"]
            listed = {Path(f) for f in files.values()}
        there = {p.relative_to(folder) for p in folder.rglob("*") if p.is_file()} - {Path("batch.json")}
        if there != listed:
            wrong.append(f"{folder.name} is not what result.json lists")
        if how != "batch" and bool(listed) != (code == 0):
            wrong.append("result.json and exit code disagree")
    for path in out.rglob("*"):
        wrong += [
            f"{path.name} tells the patient" for mark in MARKS if mark in str(path.relative_to(out)).lower()
        ]
        # the objects for the archive are the patient's own
        if path.is_file() and path.parent.name != "dicom":
            told = contents(path).lower()
            wrong += [f"{path.name} tells {mark!r}" for mark in MARKS if mark.encode() in told]
    return wrong


def contents(path: Path) -> bytes:
    if not zipfile.is_zipfile(path):
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        return b"".join(archive.read(name) for name in archive.namelist())
