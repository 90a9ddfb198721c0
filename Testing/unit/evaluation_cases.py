"""Small prepared datasets for the study's tests: disc-shaped hearts with a known infarct."""

from __future__ import annotations

import csv
import json

import numpy as np

from T1DiffLogic.anatomy.aha import aha_labels
from T1DiffLogic.dataset.pairs import write_patient
from T1DiffLogic.study import SliceGeometry

SIZE, PIXEL = 128, 1.4
LEVELS = ("basal", "mid", "apical")


def disc_record(patient: str, seed: int, infarcted: bool, shift: float = 0.0) -> dict:
    """One patient as dataset/pairs.py wants it; the native map lies `shift` pixels lower than the cine."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2.0
    inner, outer = 14 + generator.uniform(-1, 1), 21 + generator.uniform(-1, 1)
    remote = 1200 + generator.normal(0, 40)

    def labels_of(r0, r1, down=0.0):
        radius = np.hypot(rows - down, columns)
        found = np.zeros((3, SIZE, SIZE), dtype=np.uint8)
        found[:, (np.hypot(rows - down, columns + 28) < 18) & (radius >= r1)] = 1
        found[:, radius < r1] = 2
        found[:, radius < r0] = 3
        return found

    ed, es, native = labels_of(inner, outer), labels_of(inner - 5, outer - 1), labels_of(inner, outer, shift)
    z = np.array([40.0, 20.0, 0.0])
    origin = np.stack([np.full(3, -88.9), np.full(3, -88.9), z], axis=1)
    row, column = np.tile([1.0, 0, 0], (3, 1)), np.tile([0, 1.0, 0], (3, 1))
    grid = (PIXEL, PIXEL), (SIZE, SIZE), 8.0
    geometries = [SliceGeometry(o, r, c, *grid) for o, r, c in zip(origin, row, column)]
    middle = (SIZE - 1) / 2
    insertions = np.tile([[middle - 14.0, middle - 15.0], [middle + 14.0, middle - 15.0]], (3, 1, 1))
    # the infarct: the lateral wall, from the patient's seed
    angle = np.arctan2(rows - shift, columns)
    scar = np.stack([(np.abs(angle) < 0.6) & (native[0] == 2) & infarcted] * 3)
    truth = np.select([native == 1, native == 2, native == 3], [1800.0, remote, 1820.0], 500.0)
    truth = np.where(scar, 1420.0, truth)
    cine = np.select([ed == 1, ed == 2, ed == 3], [900.0, 400.0, 1000.0], 300.0)
    cine = np.where((np.abs(np.arctan2(rows, columns)) < 0.6) & (ed == 2) & infarcted, 440.0, cine)
    frames = np.stack([cine + generator.normal(0, 12, cine.shape) for _ in range(5)], axis=1)
    one_hot = lambda a: np.moveaxis(np.eye(4, dtype=np.float16)[a], -1, 1)  # noqa: E731
    noisy, repeat = (np.round(truth + generator.normal(0, 28, truth.shape)) for _ in range(2))
    return {
        "patient": patient, "slices": np.arange(3) * 2 + 1, "level": np.array(LEVELS),
        "phases": np.array([0, 3, 6, 9, 17]), "ed": np.array(0), "es": np.array(9),
        "cine": frames.astype(np.float16),
        "cine_all": np.repeat(frames[:, :1], 25, axis=1).astype(np.float16),
        "labels_ed": ed, "labels_es": es, "soft_ed": one_hot(ed), "soft_es": one_hot(es),
        "rv_insertions": insertions, "t1_ms": noisy.astype(np.float32), "labels_t1": native,
        "aha": aha_labels(ed, insertions, LEVELS, geometries),
        "aha_t1": aha_labels(native, insertions + [shift, 0], LEVELS, geometries),
        "origin_mm": origin, "row": row, "column": column, "pixel_mm": np.array(PIXEL),
        "seed": np.array(seed), "infarcted": np.array(int(infarcted)),
        "true_labels_ed": ed, "true_labels_es": es, "t1_repeat_ms": repeat.astype(np.float32),
        "labels_t1_repeat": native, "aha_t1_repeat": aha_labels(native, insertions, LEVELS, geometries),
        "t1_truth_ms": truth.astype(np.float32),
        "t1_expected_ms": np.where((native == 2) & ~scar, 1200.0, truth).astype(np.float32),
        "scar": scar.astype(np.float16),
    }  # fmt: skip


def write_dataset(folder, patients: dict[str, list[bool]], first_seed: int = 1):
    """A DATASET folder of disc hearts: split -> whether each of its patients has an infarct."""
    folder.mkdir(parents=True, exist_ok=True)
    rows, seed = [], first_seed
    for split, kinds in patients.items():
        for number, infarcted in enumerate(kinds):
            record = disc_record(f"{split}-{number}", seed, infarcted)
            write_patient(folder, record)
            for slice_, level in zip(record["slices"], LEVELS):
                rows.append({"patient": record["patient"], "split": split, "slice": slice_, "level": level})
            seed += 1
    with (folder / "pairs.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    description = {
        "format": 1, "size": SIZE, "pixel_mm": PIXEL, "cine_phases": 5, "split_seed": 0,
        "splits": {split: len(kinds) for split, kinds in patients.items()},
        "origin": "digital phantoms only", "options": {},
    }  # fmt: skip
    (folder / "dataset.json").write_text(json.dumps(description), encoding="utf-8")
    return folder
