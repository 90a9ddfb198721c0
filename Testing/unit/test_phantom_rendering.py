"""Rendered digital hearts: signal against Bloch simulations, labels against volumes, geometry in mm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from T1DiffLogic.look_locker import fit_signed
from T1DiffLogic.phantom.draws import SEEDS
from T1DiffLogic.phantom.hearts import Tissue, sample_hearts
from T1DiffLogic.phantom.motion import activation, build_ventricles
from T1DiffLogic.phantom.patient import digital_patient
from T1DiffLogic.phantom.planes import Planes
from T1DiffLogic.phantom.render import DigitalScan
from T1DiffLogic.phantom.signal import bssfp, molli_apparent, molli_signal, molli_times, true_t1
from T1DiffLogic.study import LV_CAVITY, LV_MYOCARDIUM, RV

FIRST = SEEDS["test"][0]
PATIENT = FIRST + 30
T1_T2 = [(1400, 46), (1500, 57), (1650, 60), (2010, 190), (382, 68), (809, 34)]


def planes_at(heights, size=80, pixel=1.6, centre=(0.0, 0.0), rotation=0.0, mirrored=0.0, view=0.0):
    heights = torch.as_tensor(heights, dtype=torch.float32)
    n = len(heights)
    full = torch.ones(n)
    return Planes(
        height=heights,
        thickness=8.0 * full,
        pixel=pixel * full,
        centre=torch.tensor(centre).expand(n, 2),
        rotation=rotation * full,
        mirrored=mirrored * full,
        view=view * full,
        size=size,
    )


def centroid(mask, pixel):
    """(right, up) mm of a mask from the image centre."""
    rows, columns = np.nonzero(np.asarray(mask))
    middle = (np.array(mask.shape) - 1) / 2
    return np.array([columns.mean() - middle[1], middle[0] - rows.mean()]) * pixel


def eroded(mask, pixels):
    grown = F.max_pool2d((~mask).float()[:, None], 2 * pixels + 1, 1, pixels)[:, 0]
    return grown == 0


# --- signal ----------------------------------------------------------------------------------------


def relaxed(m, time, t1, t2):
    e1, e2 = np.exp(-time / t1), np.exp(-time / t2)
    return np.array([m[0] * e2, m[1] * e2, 1 - (1 - m[2]) * e1])


def pulsed(m, degrees):
    """`m` after an RF pulse about x."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([m[0], c * m[1] + s * m[2], c * m[2] - s * m[1]])


@pytest.mark.parametrize(("t1", "t2"), T1_T2)
@pytest.mark.parametrize("flip", [32.0, 45.0, 65.0])
def test_bssfp_is_the_steady_state_of_alternating_pulses(t1, t2, flip):
    """The affine map of two repetitions (+flip, −flip) in float64; its fixed point is the steady state."""
    tr, te = 3.0, 1.5

    def two_repetitions(m):
        for sign in (1, -1):
            m = relaxed(pulsed(m, sign * flip), tr, t1, t2)
        return m

    offset = two_repetitions(np.zeros(3))
    matrix = np.stack([two_repetitions(e) - offset for e in np.eye(3)], axis=1)
    steady = np.linalg.solve(np.eye(3) - matrix, offset)
    echo = relaxed(pulsed(steady, flip), te, t1, t2)
    expected = np.hypot(echo[0], echo[1])
    one = torch.ones(1, dtype=torch.float64)
    ours = bssfp(Tissue(t1 * one, t2 * one, 0.83 * one), t1 * one, flip, tr, te)
    assert ours.item() == pytest.approx(0.83 * expected, rel=1e-6)


def molli_by_pulses(t1, t2, heart_rate):
    """MOLLI 5(3)3 pulse by pulse: half-angle preparation, 70 alternating pulses of 35° every 2.7 ms,
    the echo of the middle one; what is transverse dephases after each read-out. (8,) signed."""
    flip, tr, pulses, readout = 35.0, 2.7, 70, 190.0
    m, images = np.array([0.0, 0.0, 1.0]), []
    for first_ti, count, pause in ((120.0, 5, 3), (200.0, 3, 0)):
        m = np.array([0.0, 0.0, -0.96 * m[2]])
        wait = first_ti - readout / 2
        for _ in range(count):
            m = relaxed(pulsed(relaxed(m, wait, t1, t2), flip / 2), tr / 2, t1, t2)
            for k in range(pulses):
                sign = (-1) ** (k + 1)
                m = relaxed(pulsed(m, sign * flip), tr / 2, t1, t2)
                if k == pulses // 2:
                    images.append(sign * m[1])
                m = relaxed(m, tr / 2, t1, t2)
            m = np.array([0.0, 0.0, m[2]])
            wait = 60000 / heart_rate - tr / 2 - pulses * tr
        m = relaxed(m, wait + pause * 60000 / heart_rate, t1, t2)
    images = np.array(images)
    return images * np.sign(images[4])


@pytest.mark.parametrize(("t1", "t2"), T1_T2)
@pytest.mark.parametrize("heart_rate", [55.0, 95.0])
def test_molli_is_that_of_a_pulse_by_pulse_bloch_simulation(t1, t2, heart_rate):
    """Within 3 % of the largest signal, and within 0.8 % in the T1 that its fit shows."""
    reference = molli_by_pulses(t1, t2, heart_rate)
    one = torch.ones(1, dtype=torch.float64)
    ours = molli_signal(t1 * one, t2 * one, one, heart_rate * one)
    np.testing.assert_allclose(ours[0].numpy(), reference, atol=0.03 * np.abs(reference).max())
    times = molli_times(heart_rate * one)[0]
    shown, _ = fit_signed(ours, times)
    expected, _ = fit_signed(torch.tensor(reference)[None], times)
    assert shown.item() == pytest.approx(expected.item(), rel=0.008)


def test_true_t1_inverts_the_molli_bias_at_60_bpm():
    apparent = torch.tensor([1100.0, 1205.0, 1430.0, 1830.0])
    t2 = torch.tensor([45.0, 46.0, 60.0, 190.0])
    true = true_t1(Tissue(apparent, t2, torch.ones(4)))
    assert (true > apparent).all()
    torch.testing.assert_close(molli_apparent(true, t2), apparent, atol=1.0, rtol=0)


# --- identity --------------------------------------------------------------------------------------


def test_a_seed_gives_the_same_images_whatever_stands_beside_it():
    times = torch.tensor([[0.0, 0.37]])
    seeds = [FIRST + 3, FIRST + 11, FIRST + 5]
    together = DigitalScan(sample_hearts(seeds), planes_at([30.0, 52.0, 70.0], 64))
    alone = DigitalScan(sample_hearts(seeds[1:2]), planes_at([52.0], 64))
    for a, b in zip(together.cine(times.expand(3, 2)), alone.cine(times)):
        torch.testing.assert_close(a[1].float(), b[0].float(), atol=2e-5, rtol=1e-4)
    for a, b in zip(together.molli(), alone.molli()):
        torch.testing.assert_close(a[1].float(), b[0].float(), atol=0.5, rtol=1e-3)
    frames, _ = DigitalScan(sample_hearts([FIRST + 12]), planes_at([52.0], 64)).cine(times)
    assert (frames[0] - alone.cine(times)[0][0]).abs().mean() > 0.05


# --- labels against volumes ------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [FIRST, FIRST + 1, FIRST + 5])
def test_rendered_labels_hold_the_parametric_volumes(seed):
    """EDV, ESV and myocardium by counting label pixels on a fine stack, within 3 %."""
    step, pixel = 4.0, 1.5
    heights = torch.arange(1.0, 130.0, step)
    scan = DigitalScan(sample_hearts([seed] * len(heights)), planes_at(heights, 96, pixel))
    ml = pixel * pixel * step / 1000
    scar = []
    for s in (0.0, 1.0):
        shapes = scan.shapes(torch.full((len(heights), 1), s))
        cavity, muscle = (v[0].item() for v in scan.ventricle.volumes_ml(s))
        assert (shapes.labels == LV_CAVITY).sum().item() * ml == pytest.approx(cavity, rel=0.03)
        assert (shapes.labels == LV_MYOCARDIUM).sum().item() * ml == pytest.approx(muscle, rel=0.03)
        scar.append((shapes.mixture["core"] * (shapes.labels == LV_MYOCARDIUM)).sum().item() * ml)
    assert 2 < scar[0] < 0.4 * muscle
    assert scar[1] == pytest.approx(scar[0], rel=0.08)  # scar moves with its tissue


def test_rv_lies_behind_the_septum_and_every_ring_is_closed_at_mid_level():
    hearts = sample_hearts(range(FIRST, FIRST + 12))
    length = build_ventricles(hearts).length
    scan = DigitalScan(hearts, planes_at(0.5 * length, 96, 1.6))
    labels = scan.shapes(torch.zeros(12, 1)).labels[:, 0]
    for i in range(12):
        lv, rv = centroid(labels[i] >= LV_MYOCARDIUM, 1.6), centroid(labels[i] == RV, 1.6)
        assert rv[0] < lv[0] - 25 and abs(rv[1] - lv[1]) < 20
        cavity = (labels[i] == LV_CAVITY)[None]
        touching = F.max_pool2d(cavity.float()[:, None], 3, 1, 1)[0, 0] > 0
        assert set(labels[i][touching].tolist()) == {LV_MYOCARDIUM, LV_CAVITY}


# --- cine ------------------------------------------------------------------------------------------


def test_cine_contrast_and_noise_are_those_of_the_scanner():
    hearts = sample_hearts(range(FIRST, FIRST + 8), infarcted=False)
    scan = DigitalScan(hearts, planes_at(0.55 * build_ventricles(hearts).length, 80, 1.6))
    times = torch.zeros(8, 24)  # the same moment 24 times: only noise and flow differ
    frames, labels = scan.cine(times)
    wall = eroded(labels[:, 0] == LV_MYOCARDIUM, 1)
    papillary = scan.shapes(torch.zeros(8, 1)).papillary[:, 0]
    blood = eroded(labels[:, 0] == LV_CAVITY, 3) & (papillary < 0.01)
    for i in range(8):
        mean, sd = frames[i].mean(0), frames[i].std(0)
        assert 0.6 < mean[wall[i]].median() < 1.6  # 1 before coil shading
        assert 1.4 < mean[blood[i]].median() / mean[wall[i]].median() < 3.6
        # Rician noise of the scanner's SNR, stated for unshaded myocardium
        assert sd[wall[i]].median().item() == pytest.approx(1 / scan.scanner.snr[i].item(), rel=0.12)


def test_cavity_empties_and_fills_as_the_activation_says():
    hearts = sample_hearts([FIRST + 2], infarcted=False)
    scan = DigitalScan(hearts, planes_at([0.6 * build_ventricles(hearts).length.item()], 80, 1.3))
    times = (torch.arange(20) / 20)[None]
    _, labels = scan.cine(times)
    area = (labels[0] == LV_CAVITY).sum((1, 2)).float().numpy()
    s = activation(hearts, times)[0].numpy()
    assert area.argmin() == s.argmax()
    assert area[0] > 0.98 * area.max()
    assert np.corrcoef(area, s)[0, 1] < -0.99


# --- MOLLI maps ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def infarct_scan():
    """Six transmural infarcts without MVO, cut through their middle, and a second examination."""
    hearts = sample_hearts(range(FIRST, FIRST + 6), infarcted=True)
    first, second = hearts.lesions
    deep = replace(first, transmurality=torch.ones(6), mvo=torch.zeros(6), half_angle=torch.full((6,), 60.0))
    none = replace(second, scar=torch.zeros(6), mvo=torch.zeros(6))
    hearts = replace(hearts, lesions=(deep, none))
    planes = planes_at(deep.along * build_ventricles(hearts).length, 96, 1.4)
    again = [s * 16 + 2 for s in hearts.seeds]
    return DigitalScan(hearts, planes), DigitalScan(hearts, planes, exam_seeds=again)


def pure_tissue(scan, labels):
    """Masks (B, H, W) of pixels of one tissue alone."""
    shapes = scan.shapes(torch.full((len(scan.hearts), 1), 0.03))
    share = {name: value[:, 0] for name, value in shapes.mixture.items()}
    wall = eroded(labels == LV_MYOCARDIUM, 1)
    return {
        "myocardium": wall & (share["oedema"] < 0.02) & (share["core"] < 0.02),
        "core": wall & (share["core"] > 0.97),
        "blood": eroded(labels == LV_CAVITY, 3) & (shapes.papillary[:, 0] < 0.01),
    }


def test_map_medians_are_the_apparent_t1_of_each_tissue(infarct_scan):
    scan, _ = infarct_scan
    truth, labels = scan.molli(noise=False, misregistration=0.0)
    scanned, _ = scan.molli(misregistration=0.0)
    masks = pure_tissue(scan, labels)
    for name, mask in masks.items():
        tissue = scan.hearts.tissues[name]
        true = true_t1(tissue)
        for i in range(6):
            assert mask[i].sum() >= (3 if name == "core" else 40)
            rate = scan.hearts.heart_rate[i].item()
            expected = molli_apparent(true, tissue.t2_ms, rate)[i].item()
            assert truth[i][mask[i]].median().item() == pytest.approx(expected, rel=0.012)
            # the scan adds noise and a smooth error of up to about 2 %
            assert scanned[i][mask[i]].median().item() == pytest.approx(expected, rel=0.045)
            assert expected == pytest.approx(tissue.t1_ms[i].item(), rel=0.03)  # table values are for 60 bpm
    assert (truth[labels == 0] == 0).float().mean() < 0.5


def test_the_average_persons_map_forgets_this_persons_tissues_but_not_the_infarct(infarct_scan):
    scan, _ = infarct_scan
    average, labels = scan.molli(noise=False, misregistration=0.0, average=True)
    for name, mask in pure_tissue(scan, labels).items():
        tissue = scan.hearts.average_tissues[name]
        true = true_t1(tissue)
        for i in range(6):
            expected = molli_apparent(true, tissue.t2_ms, scan.hearts.heart_rate[i].item())[i].item()
            assert average[i][mask[i]].median().item() == pytest.approx(expected, rel=0.012)
    own = scan.hearts.tissues["myocardium"].t1_ms
    middle = scan.hearts.average_tissues["myocardium"].t1_ms
    assert own.std() > 20 and middle.max() - middle.min() <= 12.5  # sexes differ by 12 ms
    core = scan.hearts.average_tissues["core"].t1_ms
    assert (core - middle > 200).all()


def test_repeat_scan_differs_by_plausible_noise_with_the_truth_between(infarct_scan):
    scan, again = infarct_scan
    truth, labels = scan.molli(noise=False, misregistration=0.0)
    one, _ = scan.molli(misregistration=0.0)
    two, _ = again.molli(misregistration=0.0)
    remote = pure_tissue(scan, labels)["myocardium"]
    first, second = (one - truth), (two - truth)
    for i in range(6):
        for error in (first[i][remote[i]], second[i][remote[i]]):
            assert 13 < error.std() < 40
            assert error.mean().abs() < 25
    a, b = first[remote].numpy(), second[remote].numpy()
    assert abs(a.mean()) < 10 and abs(b.mean()) < 10
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.3  # independent, but for the blur of each examination
    assert np.std((a + b) / 2) < 0.82 * min(a.std(), b.std())


def test_misregistration_moves_the_t1_slice_by_the_scanner_shift(infarct_scan):
    scan, again = infarct_scan
    _, straight = scan.molli(noise=False, misregistration=0.0)
    for examination in (scan, again):
        _, moved = examination.molli(noise=False)
        for i in range(6):
            shift = centroid(moved[i] >= LV_MYOCARDIUM, 1.4) - centroid(straight[i] >= LV_MYOCARDIUM, 1.4)
            np.testing.assert_allclose(shift, examination.scanner.t1_shift[i].numpy(), atol=0.6)
    assert (scan.scanner.t1_shift - again.scanner.t1_shift).abs().max() > 1


# --- planes ----------------------------------------------------------------------------------------


def heart_of_lad_infarct():
    """A heart whose first infarct lies anteriorly, moved to exactly 90°, and nothing else wrong."""
    hearts = sample_hearts([FIRST + 4], infarcted=True)
    first, second = hearts.lesions
    first = replace(
        first,
        angle=torch.tensor([90.0]),
        half_angle=torch.tensor([40.0]),
        along=torch.tensor([0.5]),
        transmurality=torch.tensor([0.9]),
    )
    return replace(hearts, lesions=(first, replace(second, scar=torch.zeros(1))))


@pytest.mark.parametrize(
    ("options", "anterior", "septal"),
    [
        ({}, (0, 1), (-1, 0)),
        ({"rotation": 90.0}, (-1, 0), (0, -1)),
        ({"view": 90.0}, (-1, 0), (0, -1)),
        ({"mirrored": 1.0}, (0, 1), (1, 0)),
        ({"view": 60.0, "rotation": -60.0}, (0, 1), (-1, 0)),
    ],
    ids=["plain", "rotated", "viewed", "mirrored", "turned back"],
)
def test_plane_places_turns_and_mirrors_the_heart(options, anterior, septal):
    hearts = heart_of_lad_infarct()
    height = 0.55 * build_ventricles(hearts).length.item()  # where the tilted axis meets the plane's centre
    scan = DigitalScan(hearts, planes_at([height], 112, 1.5, centre=(9.0, -6.0), **options))
    shapes = scan.shapes(torch.zeros(1, 1))
    labels = shapes.labels[0, 0]
    lv = centroid(labels >= LV_MYOCARDIUM, 1.5)
    np.testing.assert_allclose(lv, (9.0, -6.0), atol=2.0)
    scar = centroid((shapes.mixture["core"][0, 0] > 0.5) & (labels == LV_MYOCARDIUM), 1.5) - lv
    rv = centroid(labels == RV, 1.5) - lv
    assert scar @ np.array(anterior) > 0.9 * np.linalg.norm(scar)
    assert rv @ np.array(septal) > 0.85 * np.linalg.norm(rv)


# --- one whole patient -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def patient():
    """One with an anterior infarct (LAD territory)."""
    lesion = sample_hearts([PATIENT], infarcted=True).lesions[0]
    assert 80 < lesion.angle.item() < 125
    return digital_patient(PATIENT, phases=8, infarcted=True)


def in_patient(mask, geometry):
    """(3,) LPS mm of the centroid of a mask."""
    return geometry.to_patient(np.argwhere(mask)).mean(axis=0)


def test_end_diastole_and_end_systole_are_those_of_the_labels(patient):
    area = (patient.labels == LV_CAVITY).sum((0, 2, 3))
    assert patient.ed == area.argmax() and patient.es == area.argmin()
    assert patient.ed in (0, 7) and patient.es in (2, 3, 4)
    assert np.diff(patient.cine.trigger_ms, axis=1).min() > 0
    cycle = 60000 / patient.cine.source.heart_rate_bpm
    np.testing.assert_allclose(patient.cine.trigger_ms[:, -1], cycle * 7 / 8)


def test_patient_volumes_from_its_own_stack(patient):
    """By discs of the clinical stack: coarse through plane, hence 8 %."""
    geometries = patient.cine.geometries
    step = np.linalg.norm(geometries[1].origin - geometries[0].origin)
    ml = step * geometries[0].spacing[0] ** 2 / 1000
    counts = (patient.labels == LV_CAVITY).sum((0, 2, 3)) * ml
    assert counts[patient.ed] == pytest.approx(patient.edv_ml, rel=0.08)
    muscle = (patient.labels[:, patient.ed] == LV_MYOCARDIUM).sum() * ml
    assert 1.05 * muscle == pytest.approx(patient.mass_g, rel=0.08)
    assert patient.esv_ml < 0.75 * patient.edv_ml


def test_images_look_like_scanner_numbers(patient):
    images, t1 = patient.cine.images, patient.t1.values_ms
    assert images.min() >= 0 and images.max() <= 4095
    np.testing.assert_array_equal(images, np.round(images))
    assert t1.min() >= 0 and t1.max() <= 4000
    np.testing.assert_array_equal(t1, np.round(t1))
    assert patient.t1.n_slices == patient.t1_repeat.n_slices == 3
    assert patient.infarcted and patient.t1_scar.max() > 0.5
    assert (patient.t1_scar[patient.t1_labels != LV_MYOCARDIUM] == 0).all()


def test_cine_and_t1_show_the_lv_at_the_same_place_in_the_patient(patient):
    """Same slice positions; in plane apart by breath-hold jitter: SD 1.4 mm (T1) and 0.8 mm (cine) per
    axis, cut at 2.5 SD, so at most 7.8 mm and typically about 2 mm."""
    apart = []
    for geometry, labels in zip(patient.t1.geometries, patient.t1_labels):
        distances = [abs(g.distance(geometry.centre)) for g in patient.cine.geometries]
        index = int(np.argmin(distances))
        assert distances[index] < 0.01
        lv_cine = in_patient(patient.labels[index, 0] >= LV_MYOCARDIUM, patient.cine.geometries[index])
        lv_t1 = in_patient(labels >= LV_MYOCARDIUM, geometry)
        apart.append(np.linalg.norm(lv_cine - lv_t1))
    assert max(apart) < 7.8 and np.mean(apart) < 5.5


def test_heart_lies_in_the_patient_as_hearts_do(patient):
    """LPS: x left, y posterior, z head."""
    geometries = patient.cine.geometries
    labels = patient.labels[:, patient.ed]
    has_lv = [i for i in range(len(geometries)) if (labels[i] == LV_CAVITY).sum() > 20]
    apical, mid, basal = has_lv[0], has_lv[len(has_lv) // 2], has_lv[-2]
    towards_apex = in_patient(labels[apical] >= 2, geometries[apical]) - in_patient(
        labels[basal] >= 2, geometries[basal]
    )
    assert towards_apex[0] > 15 and towards_apex[1] < -10 and towards_apex[2] < -10  # left, anterior, foot
    lv = in_patient(labels[mid] >= 2, geometries[mid])
    rv = in_patient(labels[mid] == RV, geometries[mid])
    assert rv[0] < lv[0] - 10 and rv[1] < lv[1]  # to the right and in front
    # standard display: the image's top is the anterior wall, its left the septum
    top, left = -geometries[mid].column_direction, -geometries[mid].row_direction
    assert top[2] > 0.5 and left @ (rv - lv) > 20
    assert all(g.normal @ towards_apex < 0 for g in geometries)  # stack runs from apex to base


def test_anterior_infarct_lies_anterior_and_superior_in_the_patient(patient):
    index = int((patient.t1_scar > 0.5).sum((1, 2)).argmax())
    geometry, labels = patient.t1.geometries[index], patient.t1_labels[index]
    lv = in_patient(labels >= LV_MYOCARDIUM, geometry)
    scar = in_patient(patient.t1_scar[index] > 0.5, geometry)
    assert scar[2] > lv[2] + 5
    assert (scar - lv) @ -geometry.column_direction > 5
