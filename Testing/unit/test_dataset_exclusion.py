"""Each reason for leaving a pair out, and that a good pair has none."""

import numpy as np
import pytest

from T1DiffLogic.anatomy.quality import AT_BORDER, BASE_LEFT, NO_MOTION, OPEN_RING
from T1DiffLogic.dataset.exclusion import cine_reason, pair_reason

Y, X = np.mgrid[:128, :128]


def ring(row=64.0, column=64.0, endo=16.0, epi=23.0) -> np.ndarray:
    radius = np.hypot(Y - row, X - column)
    return np.select([radius < endo, radius < epi], [3, 2], 0).astype(np.uint8)


LABELS = ring()
RNG = np.random.default_rng(0)
T1 = np.select([LABELS == 3, LABELS == 2], [1820.0, 1210.0], 380.0) + RNG.normal(0, 40, LABELS.shape)
FRAME = np.select([LABELS == 3, LABELS == 2], [300.0, 120.0], 40.0)
PLACED = "slice 3: T1 slice 1, 0.3 mm away along the normal, moved 1.2 mm in plane to the LV of the cine."


def test_a_good_pair_has_no_reason():
    assert cine_reason((OPEN_RING,), "basal", FRAME, LABELS) == ""
    assert pair_reason(LABELS, LABELS, T1, PLACED) == ""


def test_a_large_infarct_is_no_poor_quality():
    infarcted = np.where((LABELS == 2) & (X > 64), T1 + 260, T1)
    assert pair_reason(LABELS, LABELS, infarcted, PLACED) == ""


@pytest.mark.parametrize("flag", [NO_MOTION, BASE_LEFT, AT_BORDER])
def test_flags_of_the_cine(flag):
    assert cine_reason((OPEN_RING, flag), "basal", FRAME, LABELS) == f"poor quality of the cine: {flag}."


def test_a_slice_outside_the_lv_and_a_frame_without_contrast():
    assert "outside the closed ring" in cine_reason((), None, FRAME, LABELS)
    grey = np.where(LABELS == 3, 125.0, FRAME)
    assert "1.04 times as bright" in cine_reason((), "mid", grey, LABELS)


@pytest.mark.parametrize(
    "labels_t1, t1, placed, told",
    [
        (np.zeros_like(LABELS), T1, PLACED, "no LV was found on it"),
        (np.where(LABELS == 3, 2, LABELS), T1, PLACED, "no LV was found on it"),
        (ring(64, 80), T1, PLACED, "inconsistent slice position"),
        (
            LABELS, T1, "slice 3: T1 slice 1, 0.3 mm away along the normal, placed by position only: the LV "
            "shift of 18 mm is not plausible.", "inconsistent slice position: the LV shift of 18 mm",
        ),
        (LABELS, np.where(X > 60, T1, 0), PLACED, "has no plausible T1"),
        (LABELS, np.where(LABELS == 2, T1 - 700, T1), PLACED, "implausible native map: the median T1"),
        (LABELS, T1 + (LABELS == 2) * RNG.normal(0, 420, T1.shape), PLACED, "poor quality of the native map"),
        (ring(endo=22.8), T1, PLACED, "pixels only"),
    ],
)  # fmt: skip
def test_reasons_of_a_pair(labels_t1, t1, placed, told):
    reason = pair_reason(LABELS, labels_t1, t1, placed)
    assert told in reason and reason.endswith(".") and reason.count("\n") == 0
