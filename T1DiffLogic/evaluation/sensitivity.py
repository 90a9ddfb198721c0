"""How far a map moves when what a reader decides moves: the ED phase, the contours, the seed.

The map is made anew and read under the same contours as before, so that what is seen is the map's own
change. ED ± 1 takes the neighbouring phase as ED and leaves the masks; a contour wider or narrower by a
pixel moves endo- and epicardium of the LV at ED and ES, as a reader who draws them outside or inside.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F

from ..anatomy.normalisation import normalise_cine
from ..anatomy.phase_sampling import engine_phases
from ..errors import StudyError
from ..statistics import paired_segments
from ..study import LV_CAVITY, LV_MYOCARDIUM
from .cases import Case
from .contestants import TrainedMethod, inputs_of, noise_seed
from .measure import LEAST_PIXELS

CHANGES = ("ED - 1", "ED + 1", "contours - 1 pixel", "contours + 1 pixel", "seed")


def moved_contours(labels: np.ndarray, outward: bool) -> np.ndarray:
    """(S, H, W) labels with the LV's endo- and epicardium one pixel outward or inward.

    Outward the wall takes from what lies around it, the RV too; inward the outer pixel of the wall
    becomes background.
    """
    labels = np.asarray(labels)
    result = labels.copy()
    cavity, lv = labels == LV_CAVITY, (labels == LV_CAVITY) | (labels == LV_MYOCARDIUM)
    new_lv, new_cavity = (_grown(m) if outward else ~_grown(~m) for m in (lv, cavity))
    result[lv & ~new_lv] = 0
    result[new_lv] = LV_MYOCARDIUM
    result[new_cavity] = LV_CAVITY
    return result


def _grown(mask: np.ndarray) -> np.ndarray:
    """(S, H, W) bool grown by the four neighbours of each pixel; outside the image is as its rim."""
    padded = np.pad(mask, ((0, 0), (1, 1), (1, 1)), mode="edge")
    return mask | padded[:, 2:, 1:-1] | padded[:, :-2, 1:-1] | padded[:, 1:-1, 2:] | padded[:, 1:-1, :-2]


def one_hot(labels: np.ndarray) -> torch.Tensor:
    """(S, H, W) labels -> (S, 4, H, W) float32."""
    return F.one_hot(torch.from_numpy(labels.astype(np.int64)), 4).permute(0, 3, 1, 2).float()


def changed_inputs(case: Case) -> Iterator[tuple[str, dict, int]]:
    """(change, inputs, seed offset) of everything in CHANGES that this patient's record allows.

    The contours' baseline is the hard labels ('contours'), which is not a change but what they move from.
    """
    record, inputs = case.record, inputs_of(case)
    yield "seed", inputs, 1
    if case.has("cine_all"):
        count = record["cine_all"].shape[1]
        for change, step in (("ED - 1", -1), ("ED + 1", 1)):
            try:
                chosen = engine_phases(
                    (int(record["ed"]) + step) % count, int(record["es"]), count, record["cine"].shape[1]
                )
            except StudyError:  # ES is the next phase: there is no such ED
                continue
            frames = torch.from_numpy(record["cine_all"][:, chosen].astype(np.float32))
            yield change, inputs | {"cine": normalise_cine(frames, inputs["soft_ed"])}, 0
    raw = torch.from_numpy(record["cine"].astype(np.float32))
    for change, outward in (("contours", None), ("contours - 1 pixel", False), ("contours + 1 pixel", True)):
        ed, es = (
            one_hot(labels if outward is None else moved_contours(labels, outward))
            for labels in (record["labels_ed"], record["labels_es"])
        )
        yield change, {"cine": normalise_cine(raw, ed), "soft_ed": ed, "soft_es": es}, 0


def sensitivity_rows(method: TrainedMethod, case: Case, samples: int, seed: int) -> list[dict]:
    """One row per change: how far the segments' means move (ms), and their error before and after.

    moved_mean_ms    mean over the segments of the signed change;  moved_abs_ms of its size
    before_mae_ms, after_mae_ms   mean absolute error of the segments against the native map
    """
    key = noise_seed(seed, case)

    def segments(inputs: dict, offset: int) -> np.ndarray:
        reading = case.read(method.predict(inputs, samples, key + offset, case.slices))
        means = []
        for mask, own in paired_segments(reading):
            enough = min(mask.sum(), own.sum()) >= LEAST_PIXELS
            means.append(
                (reading.t1_ms[mask].mean(), case.native_ms[own].mean()) if enough else (np.nan, np.nan)
            )
        return np.array(means, dtype=np.float64)

    before = segments(inputs_of(case), 0)
    start, rows = before, []
    for change, inputs, offset in changed_inputs(case):
        after = segments(inputs, offset)
        if change == "contours":
            start = after
            continue
        moved = (after - start)[:, 0]
        known = np.isfinite(moved)
        if not known.any():
            continue
        error_before, error_after = (np.abs(v[known, 0] - v[known, 1]).mean() for v in (start, after))
        rows.append(
            {
                "change": change,
                "segments": int(known.sum()),
                "moved_mean_ms": float(moved[known].mean()),
                "moved_abs_ms": float(np.abs(moved[known]).mean()),
                "before_mae_ms": float(error_before),
                "after_mae_ms": float(error_after),
            }
        )
    return rows
