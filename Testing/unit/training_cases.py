"""A DATASET folder of rendered hearts, and small networks, for the tests of training."""

import csv
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from T1DiffLogic.dataset.pairs import PAIRS_FILE, write_patient
from T1DiffLogic.training.rendered import engine_batch

SMALL_T1DIFF = {
    "modality_widths": (8, 16, 24),
    "modality_bottleneck": 24,
    "morphology_widths": (8, 8, 16),
    "estimator_widths": (8, 16, 24),
}


def write_dataset(folder: Path, patients: dict[str, int], expected: bool = True) -> Path:
    """`patients` of each split, two slices each, in the layout that `t1diff prepare` writes."""
    rows, seed = [], 4000
    for split, count in patients.items():
        for _ in range(count):
            name = f"P{seed}"
            batch = engine_batch([seed, seed + 1], wide=False, phases=5)
            write_patient(folder, record(name, batch, expected))
            rows += [
                {"patient": name, "split": split, "slice": s, "level": "mid", "distance_mm": 0.0, "flags": ""}
                for s in range(2)
            ]
            seed += 2
    with (folder / PAIRS_FILE).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    description = {
        "format": 1, "size": 128, "pixel_mm": 1.4, "cine_phases": 5, "split_seed": 0,
        "splits": patients, "origin": "digital phantoms only", "options": {},
    }  # fmt: skip
    (folder / "dataset.json").write_text(json.dumps(description), encoding="utf-8")
    return folder


def record(name: str, batch: dict, expected: bool) -> dict:
    """A patient's file of an engine batch, whose segmenter is never wrong."""
    n = len(batch["t1"])
    soft = {
        k: F.one_hot(batch[f"labels_{k}"].long(), 4).permute(0, 3, 1, 2).half().numpy() for k in ("ed", "es")
    }
    aha = (batch["labels_t1"] == 2).numpy().astype(np.uint8)
    found = {
        "patient": np.array(name),
        "slices": np.arange(n),
        "level": np.array(["mid"] * n),
        "phases": np.array([0, 3, 6, 9, 17]),
        "ed": np.array(0),
        "es": np.array(9),
        "cine": batch["cine"].numpy(),
        "labels_ed": batch["labels_ed"].numpy(),
        "labels_es": batch["labels_es"].numpy(),
        "soft_ed": soft["ed"],
        "soft_es": soft["es"],
        "rv_insertions": np.full((n, 2, 2), 40.0),
        "t1_ms": batch["t1"].float().numpy(),
        "labels_t1": batch["labels_t1"].numpy(),
        "aha": aha,
        "aha_t1": aha,
        "origin_mm": np.zeros((n, 3)),
        "row": np.tile([1.0, 0, 0], (n, 1)),
        "column": np.tile([0, 1.0, 0], (n, 1)),
        "pixel_mm": np.array(1.4),
    }
    return found | ({"t1_expected_ms": batch["t1_expected"].float().numpy()} if expected else {})


def small(method_class, **changes):
    """A T1Diff method with few channels."""
    from T1DiffLogic.training.methods import configuration

    torch.manual_seed(3)
    return method_class({**configuration(method_class.name), **SMALL_T1DIFF, **changes})
