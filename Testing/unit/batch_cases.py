"""Cohorts of studies with hardly an image, and a study function that costs nothing and fails as told.

Run as a program it is a batch of such studies: `python batch_cases.py COHORT OUT WORKERS|ADDRESS`.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from T1DiffLogic.errors import StudyError
from T1DiffLogic.outputs import RESULT, Staged

MR = "1.2.840.10008.5.1.4.1.1.4"


def write_image(path: Path, study: str = "", patient: str = "PAT-0815", name: str = "Doe^Jane") -> Path:
    """A 4 × 4 MR image of the study with the UID made from `study` ("" leaves the UID out)."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, MR
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[ascii(path)])
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = MR, meta.MediaStorageSOPInstanceUID
    data.PatientID, data.PatientName = patient, name
    if study:
        data.StudyInstanceUID = generate_uid(entropy_srcs=[ascii(study)])
    data.SeriesInstanceUID = generate_uid(entropy_srcs=[ascii(study), "series"])
    data.Rows = data.Columns = 4
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation, data.SamplesPerPixel = 15, 0, 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.PixelData = np.zeros((4, 4), np.uint16).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


def cohort_of(folder: Path, *names: str) -> Path:
    """A folder with one study of one image in each of `names`."""
    for name in names:
        write_image(folder / name / "IM0001", name)
    return folder


def begun(output: Path) -> list[str]:
    """The labels of the studies that were begun, in order, over all runs."""
    path = output.parent / "begun.txt"
    return path.read_text().split() if path.is_file() else []


def paint(job, say, progress) -> None:
    """Leaves a complete folder, or does what the name of the study's folder says."""
    folder = Path(job.folder)
    with open(folder.parent.parent / "begun.txt", "a") as file:
        file.write(f"{job.label}\n")
    what = job.label.split("_")[0]
    if what == "bad":
        raise StudyError("the cine is not what it should be; export it again.")
    if what == "odd":
        raise ZeroDivisionError("Doe^Jane PAT-0815")
    if what == "naming":
        raise StudyError("PAT-0815 of Jane has no cine.")
    if what == "exit":
        raise SystemExit(3)
    if what == "crash":
        os._exit(9)
    if what == "drop":
        for gone in Path(job.root).glob("later*"):
            shutil.rmtree(gone)
    later = Path(job.root) / "later_1"
    if what == "grow" and len(list(later.iterdir())) == 1:
        write_image(later / "IM0002", "later_1")
    say("painted")
    with Staged(folder) as stage:
        (stage / "t1_map.nrrd").write_bytes(b"0" * (3 * 2**20 if what == "large" else 100))
        if what == "slow":
            (folder.parent.parent / f"{job.label}.pid").write_text(str(os.getpid()))
            for tick in range(400):
                time.sleep(0.05)
                progress("paint", tick / 400)
                if (folder.parent.parent / "hasten").exists():
                    break
        (stage / RESULT).write_text(json.dumps(result_of(job.options.get("seed", 0))))


def result_of(seed: int) -> dict:
    """What result.json of a study holds, as far as the tables read it."""
    segments = [
        {"id": i, "mean_ms": 1200.0 + i, "uncertainty_ms": 9.5, "scar_fraction": None} for i in range(1, 17)
    ]
    return {
        "status": "ok",
        "phases": {"ed": 0, "es": 9, "count": 25},
        "slices": [
            {"index": 0, "level": None, "valid": False},
            {"index": 1, "level": "mid", "valid": True},
            {"index": 2, "level": "basal", "valid": False},
        ],
        "function": {"edv_ml": 141.0, "esv_ml": 60.5, "ef_percent": 57.1, "mass_g": 101.0},
        "global": {"mean_ms": 1234.5, "sd_ms": 60.0, "n": 900},
        "segments": segments,
        "agreement": None,
        "provenance": {"model": "paint", "seed": seed, "samples": 2, "steps": 3, "device": "cpu"},
        "files": {"t1_map": "t1_map.nrrd", "result": RESULT},
        "seconds": {"paint": 0.1},
    }


def main() -> int:
    import batch_cases  # not __main__: the workers have to find the function by its module

    from T1DiffLogic.batch.run import BatchOptions, run_batch
    from T1DiffLogic.progress import Reporter

    cohort, output, who = sys.argv[1:]
    options = BatchOptions(int(who)) if who.isdigit() else BatchOptions(scheduler=who)
    result = run_batch(Path(cohort), Path(output), {}, options, Reporter("json"), batch_cases.paint)
    return int(result.ok < result.total)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
