"""The LV ends at the mitral plane of each phase; what a network takes for LV above it does not count."""

import numpy as np
import pytest
import torch

from T1DiffLogic.anatomy.base import beyond_base, end_at_base
from T1DiffLogic.anatomy.function import ventricular_function
from T1DiffLogic.anatomy.levels import base_to_apex
from T1DiffLogic.anatomy.segmenter import Segmenter
from T1DiffLogic.phantom.patient import digital_patient
from T1DiffLogic.study import LV_CAVITY, LV_MYOCARDIUM, RV, Cine, SliceGeometry

SHAPE, PIXEL = (112, 112), 1.5
TO_APEX = np.array([0.6, -0.6, -0.53])
TO_APEX = TO_APEX / np.linalg.norm(TO_APEX)
ROW = np.cross([0.0, 1.0, 0.0], TO_APEX) / np.linalg.norm(np.cross([0.0, 1.0, 0.0], TO_APEX))
CAVITY_ED, CAVITY_ES = (27, 27, 26, 24, 21, 17, 10), (20, 19, 18, 16, 13, 9, 3)
"""mm, base to apex, of an ordinary LV."""


def geometries(n, flip=False):
    """`n` slices along the stack normal, which points to the apex, or with `flip` to the base."""
    normal = -TO_APEX if flip else TO_APEX
    column = np.cross(normal, ROW)
    return [SliceGeometry(9.0 * k * normal, ROW, column, (PIXEL, PIXEL), SHAPE) for k in range(n)]


def ring(cavity_mm, wall_mm, shift_mm=(0, 0), open_share=0.0, rv=True):
    row, column = np.indices(SHAPE) - 56.0
    row, column = row * PIXEL - shift_mm[0], column * PIXEL - shift_mm[1]
    radius = np.hypot(row, column)
    labels = np.zeros(SHAPE, np.uint8)
    labels[(np.hypot(row, column + 25) < 26) & (column < 0) & rv] = RV
    labels[radius < cavity_mm + wall_mm] = LV_MYOCARDIUM
    labels[(labels == LV_MYOCARDIUM) & (np.arctan2(row, column) % (2 * np.pi) < 2 * np.pi * open_share)] = 0
    labels[radius < cavity_mm] = LV_CAVITY
    return labels


ROOT = ring(12, 2.5, (-14, -8), rv=False)
"""The aortic root: round, walled, antero-medial of the LV."""


def heart(*es_base):
    """(7, 2, R, C) labels at ED and ES from base to apex; `es_base` are the most basal slices at ES."""
    es = [*es_base, *[ring(r, 11) for r in CAVITY_ES[len(es_base) :]]]
    return np.stack([[ring(r, 8) for r in CAVITY_ED], es], axis=1)


def dropped(labels):
    """(S, P) from base to apex; alike in whichever direction the stack is stored."""
    forth = beyond_base(labels, geometries(len(labels)), 1)
    back = beyond_base(labels[::-1], geometries(len(labels), flip=True), -1)
    assert (back[::-1] == forth).all()
    return forth


def at_es(count):
    """(7, 2) bool, True on the `count` most basal slices at ES."""
    expected = np.zeros((7, 2), dtype=bool)
    expected[:count, 1] = True
    return expected


def soft(labels):
    return np.moveaxis(np.eye(4, dtype=np.float32)[labels], -1, 2)


def test_an_ordinary_ventricle_is_left_alone():
    assert not dropped(heart()).any()


def test_the_aortic_root_at_es_and_all_above_it_is_dropped():
    assert (dropped(heart(ROOT)) == at_es(1)).all()
    # a closed, thick ring above the root is a network's fancy
    assert (dropped(heart(ring(20, 11), ROOT)) == at_es(2)).all()
    assert (dropped(heart(np.zeros(SHAPE, np.uint8), ROOT)) == at_es(2)).all()


def test_a_root_with_a_thick_wall_is_told_by_its_place_and_size():
    assert (dropped(heart(ring(11, 8, (-14, -8)))) == at_es(1)).all()


def test_a_breath_hold_that_displaces_the_base_does_not_cost_it():
    assert not dropped(heart(ring(20, 11, (-11, 5)), ring(19, 11, (-11, 5)))).any()


@pytest.mark.parametrize("open_share, gone", [(0.25, False), (0.45, False), (0.55, True), (1.0, True)])
def test_a_ring_open_by_less_than_half_stays(open_share, gone):
    labels = heart(ring(20, 11, open_share=open_share))
    assert (dropped(labels) == at_es(int(gone))).all()
    labels[0, 0] = ring(27, 8, open_share=open_share)
    assert dropped(labels)[0, 0] == gone


def test_a_scrap_of_wall_is_no_base_but_a_cavity_squeezed_shut_is():
    scrap = ring(20, 11, open_share=0.85)
    scrap[scrap == LV_CAVITY] = 0
    assert (dropped(heart(scrap)) == at_es(1)).all()
    shut = ring(0, 28)
    assert not dropped(heart(shut, shut)).any()


def test_a_normal_base_under_a_hypertrophied_middle_stays():
    es = [ring(18, 9), ring(17, 10), *[ring(9, 24)] * 3, ring(5, 18), ring(2, 14)]
    labels = np.stack([heart()[:, 0], es], axis=1)
    assert not dropped(labels).any()


@pytest.mark.parametrize(
    "apex", [ring(3, 2.5), ring(2, 1.5, (15, 10)), ring(9, 4, open_share=0.8), ring(0, 0)]
)
def test_the_apex_is_never_dropped(apex):
    labels = heart()
    labels[-2:, 1] = apex
    assert not dropped(labels).any()


@pytest.mark.parametrize("n", [1, 2, 3])
def test_short_stacks_and_empty_ones(n):
    middle = heart()[2 : 2 + n]
    assert not dropped(middle).any() and not dropped(middle * 0).any()


def test_what_is_dropped_becomes_background_and_the_volumes_follow():
    whole, g = heart(ring(20, 11), ring(19, 11)), geometries(7)
    with_root = heart(ROOT, ring(19, 11))
    with_root[0, 1][(with_root[0, 1] == 0) & (ring(0, 0) == RV)] = RV
    given = soft(with_root)
    end_at_base(given, g)
    labels = given.argmax(axis=2)
    assert np.allclose(given.sum(axis=2), 1)
    assert not (labels[0, 1] >= LV_MYOCARDIUM).any()
    assert ((labels == RV) == (with_root == RV)).all()
    kept = ~at_es(1)
    assert (labels[kept] == whole[kept]).all()
    without = whole.copy()
    without[0, 1] = 0
    expected = ventricular_function(without[:, 0], without[:, 1], g)
    assert ventricular_function(labels[:, 0], labels[:, 1], g) == expected


def test_true_labels_of_a_digital_patient_keep_their_volumes():
    patient = digital_patient(3, phases=6)
    given = soft(patient.labels)
    end_at_base(given, patient.cine.geometries)
    before, after = (
        ventricular_function(a[:, patient.ed], a[:, patient.es], patient.cine.geometries)
        for a in (patient.labels, given.argmax(axis=2))
    )
    assert after == pytest.approx(before, rel=0.01)
    assert base_to_apex(patient.labels[:, patient.ed], patient.cine.geometries) == -1


class ByBrightness(torch.nn.Module):
    """Reads the label off an image painted with labels, as a network without any sense of place."""

    def forward(self, x):
        level = (x + 1) * 1.5
        return torch.cat([-20 * (level - value).square() for value in range(4)], dim=1)


def test_the_segmenter_ends_at_the_base_of_each_phase():
    labels, g = heart(ROOT), geometries(7)
    cine = Cine(labels.astype(np.float32), g, np.tile([0.0, 400.0], (7, 1)))
    found = Segmenter(ByBrightness()).segment_cine(cine).astype(np.float32).argmax(axis=2)
    lv = (found >= LV_MYOCARDIUM).sum(axis=(2, 3)) * PIXEL**2
    assert lv[0, 1] == 0 and (lv[~at_es(1)] > 300).all()
