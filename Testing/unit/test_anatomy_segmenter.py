"""The segmenter on whole studies: the released GF-UNet, what tidies its masks, and a real heart."""

import re
import tarfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image, ImageDraw

from T1DiffLogic.anatomy.segmenter import Segmenter, tidied
from T1DiffLogic.loading import load_cine
from T1DiffLogic.phantom.draws import patient_seed
from T1DiffLogic.phantom.patient import digital_patient
from T1DiffLogic.study import LV_CAVITY, LV_MYOCARDIUM, RV, Cine

PIG = Path(__file__).parents[2].parent / "shared" / "data" / "pig_sax_cine_dicom.tar.xz"


def dice(found, truth):
    return 2 * (found & truth).sum() / max((found.sum() + truth.sum()), 1)


@pytest.fixture(scope="module")
def segmenter():
    return Segmenter.load()


@pytest.fixture(scope="module")
def patient():
    return digital_patient(patient_seed("validation", 40), phases=6, infarcted=True)


def test_unseen_digital_heart_is_contoured(segmenter, patient):
    shares = []
    labels = segmenter.segment_cine(patient.cine, shares.append).astype(np.float32).argmax(axis=2)
    assert labels.shape == patient.labels.shape
    assert shares[-1] == 1.0 and shares == sorted(shares)
    assert dice(labels == LV_CAVITY, patient.labels == LV_CAVITY) > 0.90
    assert dice(labels == LV_MYOCARDIUM, patient.labels == LV_MYOCARDIUM) > 0.75
    assert dice(labels == RV, patient.labels == RV) > 0.70


def test_probabilities_sum_to_one(segmenter, patient):
    few = Cine(patient.cine.images[4:6, :2], patient.cine.geometries[4:6], patient.cine.trigger_ms[4:6, :2])
    soft = segmenter.segment_cine(few).astype(np.float32)
    assert np.abs(soft.sum(axis=2) - 1).max() < 2e-3 and soft.min() >= 0


def test_heart_is_found_wherever_it_lies_in_the_field(segmenter, patient):
    """The same heart in a corner of a larger field, in other units: the contours move with it."""
    c = patient.cine
    images, rows, columns = c.images[3:7, :3], *c.images.shape[2:]
    pad = 48
    moved = np.zeros((*images.shape[:2], rows, columns), np.float32)
    moved[..., pad:, pad:] = images[..., : rows - pad, : columns - pad] * 37.0
    at_home = Cine(images, c.geometries[3:7], c.trigger_ms[3:7, :3])
    away = Cine(moved, c.geometries[3:7], c.trigger_ms[3:7, :3])
    first, second = (segmenter.segment_cine(x).astype(np.float32).argmax(axis=2) for x in (at_home, away))
    shifted = np.zeros_like(first)
    shifted[..., pad:, pad:] = first[..., : rows - pad, : columns - pad]
    assert dice(shifted >= LV_MYOCARDIUM, second >= LV_MYOCARDIUM) > 0.93


def test_native_t1_map_is_contoured_by_the_same_net(segmenter, patient):
    labels = segmenter.segment_t1(patient.t1).astype(np.float32).argmax(axis=1)
    assert dice(labels == LV_CAVITY, patient.t1_labels == LV_CAVITY) > 0.90
    assert dice(labels == LV_MYOCARDIUM, patient.t1_labels == LV_MYOCARDIUM) > 0.70


def probabilities(labels):
    return np.moveaxis(np.eye(4, dtype=np.float32)[labels], -1, 0)[None]


def test_tidying_keeps_one_heart():
    labels = np.zeros((64, 64), int)
    y, x = np.indices(labels.shape)
    ring = np.hypot(y - 30, x - 36)
    labels[ring < 12] = LV_MYOCARDIUM
    labels[ring < 8] = LV_CAVITY
    labels[24:36, 16:24] = RV
    labels[50:56, 50:56] = LV_CAVITY  # a stomach
    labels[2:12, 50:60] = LV_MYOCARDIUM  # chest wall
    labels[56:62, 2:8] = RV
    kept = tidied(probabilities(labels), 1.4)[0].argmax(0)
    expected = np.where((y > 45) | ((y < 14) & (x > 48)), 0, labels)
    assert (kept == expected).all()


def test_what_a_chamber_encloses_is_its_own_and_the_wall_stays():
    labels = np.zeros((64, 64), int)
    y, x = np.indices(labels.shape)
    ring = np.hypot(y - 30, x - 40)
    labels[ring < 14] = LV_MYOCARDIUM
    labels[ring < 10] = LV_CAVITY
    labels[(np.abs(y - 30) < 14) & (x > 8) & (ring >= 14) & (x < 40)] = RV
    whole = labels.copy()
    labels[28:31, 44:47] = LV_MYOCARDIUM  # a papillary muscle
    labels[22:25, 14:17] = 0  # trabeculae, one of them open to the outside
    labels[30:34, 6:13] = 0
    soft = tidied(0.1 + 0.6 * probabilities(labels), 1.4)[0]
    found = soft.argmax(0)
    assert (found[28:31, 44:47] == LV_CAVITY).all() and (found[22:25, 14:17] == RV).all()
    assert dice(found == RV, whole == RV) > dice(labels == RV, whole == RV)
    assert (found[whole == LV_MYOCARDIUM] == LV_MYOCARDIUM).all()
    np.testing.assert_allclose(soft.sum(axis=0), 1, rtol=1e-5)


def test_an_rv_away_from_the_lv_is_not_one():
    labels = np.zeros((64, 64), int)
    labels[20:40, 40:60] = LV_MYOCARDIUM
    labels[20:40, 4:14] = RV
    assert not (tidied(probabilities(labels), 1.4)[0].argmax(0) == RV).any()


def test_specks_are_no_ventricle():
    labels = np.zeros((64, 64), int)
    labels[30:33, 30:33] = LV_CAVITY
    assert not tidied(probabilities(labels), 1.4)[0].argmax(0).any()


@pytest.mark.skipif(not PIG.is_file(), reason="the real pig series of shared/data is not here")
def test_real_pig_heart_is_where_its_contours_are(segmenter, tmp_path):
    with tarfile.open(PIG) as archive:
        archive.extractall(tmp_path, filter="data")
    folder = next(p for p in tmp_path.rglob("dicom") if p.is_dir())
    cine = load_cine(folder)
    assert cine.images.shape[:2] == (7, 20)
    phases = [0, 7, 14]
    few = Cine(cine.images[:, phases], cine.geometries, cine.trigger_ms[:, phases])
    labels = segmenter.segment_cine(few).astype(np.float32).argmax(axis=2)
    where = {}
    for s, files in enumerate(cine.source.files):
        for i, phase in enumerate(phases):
            path = Path(files[phase])
            header = pydicom.dcmread(path if path.is_absolute() else folder / path, stop_before_pixels=True)
            where[int(header.InstanceNumber)] = (s, i)
    found: dict[int, list[float]] = {}
    for contour in folder.parent.rglob("*icontour*.txt"):
        number = int(re.search(r"-(\d+)-icontour", contour.name).group(1))
        if number in where:
            s, i = where[number]
            image = Image.new("L", cine.images.shape[:1:-1])
            ImageDraw.Draw(image).polygon([tuple(p) for p in np.loadtxt(contour)], fill=1)
            found.setdefault(s, []).append(dice(labels[s, i] == LV_CAVITY, np.array(image) > 0))
    good = [s for s, values in found.items() if np.mean(values) > 0.85]
    # contours near the base are poor (data README); the middle of the stack is what they are good for
    assert {2, 3, 4} <= set(good), {s: np.round(np.mean(v), 2) for s, v in found.items()}
