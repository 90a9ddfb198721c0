"""Which side of the LV the RV lies on, in patient space, and what becomes of one on another side."""

import numpy as np

from T1DiffLogic.anatomy.rv_side import keep_on_one_side
from T1DiffLogic.study import LV_CAVITY, LV_MYOCARDIUM, RV, SliceGeometry

SIZE = 96


def stack(degrees, areas, mirrored=()):
    """Soft masks (S, 1, 4, H, W) with the RV in the given direction of each slice (clockwise on the
    image from the right) and of the given radius, and geometries; the `mirrored` slices are stored
    with their columns the other way round."""
    soft, geometries = [], []
    y, x = np.indices((SIZE, SIZE)) - SIZE / 2
    for s, (angle, radius) in enumerate(zip(np.radians(degrees), areas)):
        r = np.hypot(y, x)
        labels = np.zeros((SIZE, SIZE), int)
        far = 20 + radius
        labels[np.hypot(y - far * np.sin(angle), x - far * np.cos(angle)) < radius] = RV
        labels[r < 18] = LV_MYOCARDIUM
        labels[r < 11] = LV_CAVITY
        origin, row = [0.0, 0.0, -8.0 * s], [1.0, 0.0, 0.0]
        if s in mirrored:
            labels = labels[:, ::-1]
            origin, row = [1.0 * (SIZE - 1), 0.0, -8.0 * s], [-1.0, 0.0, 0.0]
        soft.append(np.eye(4)[labels].transpose(2, 0, 1)[None])
        geometries.append(SliceGeometry(origin, row, [0, 1, 0], (1.0, 1.0), (SIZE, SIZE)))
    return np.stack(soft).astype(np.float16), tuple(geometries)


def has_rv(soft):
    return [bool((s[0, RV] > 0.5).any()) for s in soft]


def test_an_rv_on_another_side_becomes_background():
    soft, geometries = stack([180, 175, 190, 20, 265], [14, 14, 10, 6, 6])
    before = soft.copy()
    keep_on_one_side(soft, geometries)
    assert has_rv(soft) == [True, True, True, False, False]
    assert np.array_equal(soft[:3], before[:3])
    assert np.array_equal(soft[:, :, [LV_MYOCARDIUM, LV_CAVITY]], before[:, :, [LV_MYOCARDIUM, LV_CAVITY]])
    assert (soft.sum(axis=2) == 1).all()


def test_an_rv_turns_about_the_lv_from_base_to_apex():
    soft, geometries = stack([150, 165, 180, 195, 215], [14, 14, 12, 9, 6])
    keep_on_one_side(soft, geometries)
    assert all(has_rv(soft))


def test_sides_are_the_patients_and_not_the_images():
    soft, geometries = stack([180, 180, 180, 180], [14, 14, 12, 8], mirrored=(1, 3))
    keep_on_one_side(soft, geometries)
    assert all(has_rv(soft))


def test_a_stack_without_an_rv_stays():
    soft, geometries = stack([0, 0], [0, 0])
    keep_on_one_side(soft, geometries)
    assert not any(has_rv(soft))
