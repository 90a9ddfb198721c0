"""Insertions, levels, AHA segments and function of one analytic heart, imaged in every way a scanner may."""

import numpy as np
import pytest

from T1DiffLogic.anatomy.aha import aha_labels, wall_depth
from T1DiffLogic.anatomy.frame import pixel_points
from T1DiffLogic.anatomy.function import ventricular_function, wall_thickening
from T1DiffLogic.anatomy.insertions import rv_insertions
from T1DiffLogic.anatomy.levels import base_to_apex, slice_levels
from T1DiffLogic.study import LV_CAVITY, LV_MYOCARDIUM, RV, SliceGeometry

BASE = np.array([12.0, -30.0, 45.0])
AXIS = np.array([0.6, -0.6, -0.53])
AXIS = AXIS / np.linalg.norm(AXIS)
UP = np.array([0.25, -0.45, 0.75])
UP = UP - (UP @ AXIS) * AXIS
UP = UP / np.linalg.norm(UP)
LEFT = np.cross(AXIS, UP)
"""Image up and left of the standard display, which looks from the apex to the base: RV on the left."""

LENGTH = 84.0
# counter-clockwise from up as displayed: anterior insertion 30°, mid-septum 90°, inferior insertion 150°
ANTERIOR_DEG, INFERIOR_DEG = 30.0, 150.0
RV_WALL_MM = 3.0


def cylindrical(points):
    offset = points - BASE
    along = offset @ AXIS
    x, y = offset @ UP, offset @ LEFT
    return along, np.hypot(x, y), np.degrees(np.arctan2(y, x)) % 360


def radii(along, thickness=8.0):
    endo = 24 * np.sqrt(np.clip(1 - (along / LENGTH) ** 2, 0, None))
    return endo, endo + thickness


def heart_labels(geometries, squeeze=0.0, open_base_mm=8.0):
    """Labels of the analytic heart; `squeeze` mm moves the endocardium inward, the wall thickens."""
    result = []
    for geometry in geometries:
        along, radius, angle = cylindrical(pixel_points(geometry))
        endo, epi = radii(along)
        endo = np.clip(endo - squeeze, 0, None)
        inside = (along >= 0) & (along < LENGTH)
        labels = np.zeros(geometry.shape, dtype=np.uint8)
        # a circle whose outer surface crosses the epicardium at both insertions; its wall is no label
        middle, half = np.radians((INFERIOR_DEG + ANTERIOR_DEG) / 2), np.radians(ANTERIOR_DEG - 90)
        away = 0.78 * epi
        outer = np.sqrt(epi**2 + away**2 - 2 * epi * away * np.cos(half))
        turned = np.radians(angle) - middle
        beside = np.sqrt(radius**2 + away**2 - 2 * radius * away * np.cos(turned))
        rv = (beside < outer - RV_WALL_MM) & (along < 0.75 * LENGTH)
        labels[inside & rv] = RV
        labels[inside & (radius < epi)] = LV_MYOCARDIUM
        outflow = (along < open_base_mm) & (angle > 20) & (angle < 140)
        labels[inside & outflow & (radius < epi)] = 0
        labels[inside & (radius < endo)] = LV_CAVITY
        result.append(labels)
    return np.array(result)


def stack(rng, positions, flip=False, rotation_deg=0.0, spacing=(1.4, 1.4), size=128, tilt_deg=0.0):
    """Slices at `positions` mm from the base, sorted along the normal as dicom.cine sorts them."""
    normal = -AXIS if flip else AXIS
    if tilt_deg:
        lean = rng.normal(size=3)
        lean -= (lean @ normal) * normal
        normal = normal + np.tan(np.radians(tilt_deg)) * lean / np.linalg.norm(lean)
        normal /= np.linalg.norm(normal)
    row = UP - (UP @ normal) * normal
    row /= np.linalg.norm(row)
    column = np.cross(normal, row)
    turn = np.radians(rotation_deg)
    row, column = np.cos(turn) * row + np.sin(turn) * column, np.cos(turn) * column - np.sin(turn) * row
    geometries = []
    for position in positions:
        middle = BASE + position * AXIS + 4 * rng.uniform(-1, 1) * row
        corner = middle - (size - 1) / 2 * (spacing[0] * column + spacing[1] * row)
        geometries.append(SliceGeometry(corner, row, column, spacing, (size, size)))
    return sorted(geometries, key=lambda g: g.origin @ normal)


def true_insertions(geometries):
    points = np.full((len(geometries), 2, 2), np.nan)
    for s, geometry in enumerate(geometries):
        along = (geometry.centre - BASE) @ AXIS
        if 0 < along < 0.75 * LENGTH:
            for k, angle in enumerate(np.radians([ANTERIOR_DEG, INFERIOR_DEG])):
                direction = np.cos(angle) * UP + np.sin(angle) * LEFT
                points[s, k] = geometry.to_pixel(BASE + along * AXIS + radii(along)[1] * direction)
    return points


POSITIONS = np.array([4.0, 13.0, 22.0, 31.0, 39.0, 49.0, 58.0, 66.0, 75.0])
VIEWS = [
    dict(flip=flip, rotation_deg=rotation, spacing=spacing)
    for flip in (False, True)
    for rotation, spacing in ((0, (1.4, 1.4)), (77, (1.25, 1.6)), (180, (1.5, 1.1)), (261, (1.4, 1.4)))
]


def expected_segment(points, level):
    """AHA segment of patient points, from the dossier's display angles (counter-clockwise from right)."""
    display = (cylindrical(points)[2] + 90) % 360
    if level == "apical":
        return np.array([16, 13, 14, 15])[((display + 45) % 360 // 90).astype(int)]
    return np.array([6, 1, 2, 3, 4, 5])[(display // 60).astype(int)] + (6 if level == "mid" else 0)


@pytest.mark.parametrize("view", VIEWS)
def test_same_patient_point_gets_same_segment_in_any_orientation(view):
    geometries = stack(np.random.default_rng(1), POSITIONS, **view)
    labels = heart_labels(geometries)
    levels = slice_levels(labels, geometries)
    aha = aha_labels(labels, true_insertions(geometries), levels, geometries)
    assert set(np.unique(aha)) == set(range(17))
    wrong = 0
    for s, (level, geometry) in enumerate(zip(levels, geometries)):
        points = pixel_points(geometry)
        display = (cylindrical(points)[2] + 90) % 360
        step, start = (90, 45) if level == "apical" else (60, 0)
        clear = np.abs((display - start) % step - step / 2) < step / 2 - 2  # 2° off every border
        inside = (aha[s] > 0) & clear
        if level is not None:
            wrong += (aha[s][inside] != expected_segment(points, level)[inside]).sum()
    assert wrong == 0


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("soft", [False, True])
def test_insertions_lie_where_the_rv_leaves_the_epicardium(view, soft):
    geometries = stack(np.random.default_rng(2), POSITIONS, tilt_deg=4, **view)
    labels = heart_labels(geometries, open_base_mm=0)
    given = labels
    if soft:
        given = np.stack([labels == k for k in range(4)], axis=1).astype(np.float32) * 0.9 + 0.025
    found = rv_insertions(given, geometries)
    truth = true_insertions(geometries)
    span = []
    for s, geometry in enumerate(geometries):
        along = (geometry.centre - BASE) @ AXIS
        if along > 0.75 * LENGTH + 4:
            assert np.isnan(found[s]).all()
        if along < 0.75 * LENGTH - 4:
            error = (found[s] - truth[s]) * geometry.spacing
            assert np.linalg.norm(error, axis=-1).max() < 5.0
            span.append(np.diff(cylindrical(geometry.to_patient(found[s]))[2])[0])
    assert len(span) >= 6
    # unbiased as well: the blood alone ends 9° short of either insertion
    assert np.mean(np.abs(span)) == pytest.approx(INFERIOR_DEG - ANTERIOR_DEG, abs=10)


def test_a_crescent_with_rounded_off_tips_keeps_its_insertions():
    """As networks draw them: what is left ends several mm wide, and a few mm early."""
    geometries = stack(np.random.default_rng(15), POSITIONS, spacing=(1.1, 1.1), size=160)
    labels = heart_labels(geometries, open_base_mm=0)
    truth, span = true_insertions(geometries), []
    for s, geometry in enumerate(geometries):
        angle = cylindrical(pixel_points(geometry))[2]
        early = (angle < ANTERIOR_DEG + 13) | (angle > INFERIOR_DEG - 13)
        labels[s][(labels[s] == RV) & early] = 0
    found = rv_insertions(labels, geometries)
    for s in np.flatnonzero(np.isfinite(truth).all(axis=(1, 2))):
        span.append(np.diff(cylindrical(geometries[s].to_patient(found[s]))[2])[0])
    assert np.nanmean(np.abs(span)) == pytest.approx(INFERIOR_DEG - ANTERIOR_DEG, abs=10)


def test_stray_rv_on_one_slice_does_not_move_its_insertions_far():
    geometries = stack(np.random.default_rng(3), POSITIONS)
    labels = heart_labels(geometries, open_base_mm=0)
    along, radius, angle = cylindrical(pixel_points(geometries[3]))
    labels[3][(labels[3] == RV)] = 0
    labels[3][(angle > 200) & (angle < 300) & (radius > 30) & (radius < 45) & (labels[3] == 0)] = RV
    found = rv_insertions(labels, geometries)
    assert np.isnan(found[3]).any() and np.isfinite(found[[0, 1, 2, 4, 5]]).all()


@pytest.mark.parametrize("flip", [False, True])
def test_levels_run_from_first_closed_ring_to_last_cavity(flip):
    geometries = stack(np.random.default_rng(4), POSITIONS, flip=flip)
    labels = heart_labels(geometries)
    assert base_to_apex(labels, geometries) == (-1 if flip else 1)
    expected = [None] + ["basal"] * 3 + ["mid"] * 2 + ["apical"] * 3
    # 13…75 mm with half gaps: 8.5…79.5, borders at 32.2 and 55.8
    assert list(slice_levels(labels, geometries)) == (expected[::-1] if flip else expected)


@pytest.mark.parametrize(
    "positions, expected",
    [((20, 42, 64), ["basal", "mid", "apical"]), ((25, 55), ["basal", "apical"]), ((40,), ["mid"])],
)
@pytest.mark.parametrize("flip", [False, True])
def test_levels_of_short_stacks(positions, expected, flip):
    geometries = stack(np.random.default_rng(5), np.array(positions, dtype=float), flip=flip)
    levels = slice_levels(heart_labels(geometries), geometries)
    assert list(levels) == (expected[::-1] if flip else expected)


def test_areas_overrule_the_usual_place_and_the_usual_place_failed_basal_contours():
    upside_down = [SliceGeometry([0, 0, z], [1, 0, 0], [0, 1, 0], (1.4, 1.4), (128, 128)) for z in POSITIONS]
    labels = heart_labels(stack(np.random.default_rng(13), POSITIONS), open_base_mm=0)
    assert base_to_apex(labels, upside_down) == 1  # apex at the top, where no patient has it
    geometries = stack(np.random.default_rng(13), POSITIONS, flip=True)
    failed = heart_labels(geometries)
    failed[failed == RV] = 0
    for s in (-1, -2):  # the two basal slices, shrunk to a speck as a poor network leaves them
        far = cylindrical(pixel_points(geometries[s]))[1] > 12
        failed[s][far] = 0
    assert base_to_apex(failed, geometries) == -1


@pytest.mark.parametrize("flip", [False, True])
def test_a_single_slice_takes_the_usual_place_of_the_apex(flip):
    """Left, anterior and inferior in the patient, as nothing in one slice tells base from apex."""
    geometries = stack(np.random.default_rng(12), np.array([40.0]), flip=flip)
    assert base_to_apex(heart_labels(geometries), geometries) == (-1 if flip else 1)


def test_levels_outside_the_lv_are_none():
    geometries = stack(np.random.default_rng(5), np.array([-12.0, 20, 42, 64, 92]))
    assert slice_levels(heart_labels(geometries), geometries) == (None, "basal", "mid", "apical", None)
    assert slice_levels(np.zeros((5, 128, 128), np.uint8), geometries) == (None,) * 5


def test_apical_slices_inherit_insertions_and_missing_ones_follow_handedness():
    geometries = stack(np.random.default_rng(6), POSITIONS, rotation_deg=33)
    labels = heart_labels(geometries)
    levels = slice_levels(labels, geometries)
    points = true_insertions(geometries)
    full = aha_labels(labels, points, levels, geometries)
    assert (full[-1] > 12).any() and np.isnan(points[-1]).all()
    for missing in (0, 1):  # with one insertion only, the other follows from base-to-apex handedness
        partial = points.copy()
        partial[:, missing] = np.nan
        assert (aha_labels(labels, partial, levels, geometries) != full).mean() < 1e-3
    assert not aha_labels(labels, np.full_like(points, np.nan), levels, geometries).any()


def test_measured_septum_is_halved_and_free_wall_quartered():
    geometries = stack(np.random.default_rng(7), POSITIONS)
    labels = heart_labels(geometries)
    points = true_insertions(geometries)
    for s, geometry in enumerate(geometries):  # widen the septum to 150° by moving the inferior insertion
        along = (geometry.centre - BASE) @ AXIS
        angle = np.radians(ANTERIOR_DEG + 150)
        points[s, 1] = geometry.to_pixel(
            BASE + along * AXIS + 30 * (np.cos(angle) * UP + np.sin(angle) * LEFT)
        )
    aha = aha_labels(labels, points, slice_levels(labels, geometries), geometries, septum="measured")
    counts = np.bincount(aha.ravel(), minlength=17)[7:13].astype(float)
    share = counts / counts.sum() * 360
    assert share == pytest.approx([52.5, 75, 75, 52.5, 52.5, 52.5], abs=4)


def test_trim_keeps_the_middle_of_the_wall():
    geometry = stack(np.random.default_rng(8), [20.0], spacing=(0.5, 0.5), size=200)[0]
    labels = heart_labels([geometry])[0]
    along, radius, _ = cylindrical(pixel_points(geometry))
    endo, epi = radii(along)
    wall = labels == LV_MYOCARDIUM
    depth = wall_depth(labels, geometry)
    truth = (radius - endo) / (epi - endo)
    assert np.abs(depth - truth)[wall].max() < 0.5 / 8  # half a pixel on an 8 mm wall
    assert abs(np.mean((depth - truth)[wall])) < 0.01


def test_small_segments_are_trimmed_less():
    geometries = stack(np.random.default_rng(9), [20.0, 42.0, 64.0], spacing=(3.0, 3.0), size=64)
    labels = heart_labels(geometries)
    points, levels = true_insertions(geometries), slice_levels(labels, geometries)
    counts = np.bincount(
        aha_labels(labels, points, levels, geometries, trim=(0.45, 0.55)).ravel(), minlength=17
    )
    assert counts[1:].min() >= 12


def test_function_matches_the_analytic_volumes():
    positions = np.concatenate([np.arange(2.0, 40, 4), np.arange(43.0, 84, 6)])  # non-uniform slices
    geometries = stack(np.random.default_rng(10), positions, rotation_deg=20, spacing=(1.1, 1.3), size=140)
    ed, es = heart_labels(geometries, open_base_mm=0), heart_labels(geometries, squeeze=7, open_base_mm=0)
    t = np.linspace(0, LENGTH, 20001)
    endo, epi = radii(t)
    volume = lambda r: np.trapezoid(np.pi * r**2, t) / 1000  # noqa: E731
    result = ventricular_function(ed, es, geometries)
    edv, esv = volume(endo), volume(np.clip(endo - 7, 0, None))
    assert result["edv_ml"] == pytest.approx(edv, rel=0.02)
    assert result["esv_ml"] == pytest.approx(esv, rel=0.03)
    assert result["ef_percent"] == pytest.approx(100 * (1 - esv / edv), abs=1.5)
    assert result["mass_g"] == pytest.approx(1.05 * (volume(epi) - edv), rel=0.02)
    assert ventricular_function(ed * 0, es * 0, geometries)["ef_percent"] is None


def test_wall_thickening_per_segment():
    geometries = stack(np.random.default_rng(11), POSITIONS[1:-1], flip=True, rotation_deg=45)
    ed, es = heart_labels(geometries), heart_labels(geometries, squeeze=4)
    still = heart_labels(geometries)
    for s, geometry in enumerate(geometries):  # the nominal lateral wall (5, 6, 11, 12) does not thicken
        lateral = cylindrical(pixel_points(geometry))[2] > 210
        es[s][lateral] = still[s][lateral]
    points, levels = true_insertions(geometries), slice_levels(ed, geometries)
    percent = wall_thickening(ed, es, points, levels, geometries)
    assert percent[[1, 2, 7, 8]] == pytest.approx([50] * 4, abs=10)
    assert percent[[4, 5, 10, 11]] == pytest.approx([0] * 4, abs=14)


def test_nonsense_labels_give_empty_answers_not_exceptions():
    rng = np.random.default_rng(14)
    for k in range(24):
        geometries = stack(rng, POSITIONS[: 1 + k % 4], spacing=(2.5, 2.0), size=60)
        blobs = rng.normal(size=(len(geometries), 6, 6)).repeat(10, axis=1).repeat(10, axis=2)
        labels = np.digitize(blobs, np.sort(rng.uniform(-1, 2, 3))).astype(np.uint8)
        if k % 6 == 0:
            labels[:] = k // 6
        points, levels = rv_insertions(labels, geometries), slice_levels(labels, geometries)
        aha = aha_labels(labels, points, levels, geometries)
        assert not aha[labels != LV_MYOCARDIUM].any()
        wall_thickening(labels, np.roll(labels, 3, axis=1), points, levels, geometries)
