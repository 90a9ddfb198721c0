"""CMRxRecon's layout: k-space of discs written as the challenge does, and read back as records."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import scipy.io
import SimpleITK as sitk

from T1DiffLogic.cmrxrecon import is_cohort, studies
from T1DiffLogic.cmrxrecon.studies import NOMINAL, load_inversion_images, load_t1
from T1DiffLogic.errors import StudyError

h5py = pytest.importorskip("h5py", reason="CMRxRecon files need h5py")

SIZE, PHASES = (36, 28), 6
TIMES = np.array(
    [
        [100, 1100, 2080, 3050, 180, 1190, 2170, 260, 0.0],
        [110, 1010, 1930, 2890, 190, 1120, 2060, 270, 1170.0],
    ]
)
"""Two slices of MOLLI 4(1)3(1)2 in order of acquisition; the first slice lacks its last image."""


def disc(radius, centre=(20, 12)):
    row, column = np.mgrid[: SIZE[0], : SIZE[1]]
    return np.hypot(row - centre[0], column - centre[1]) < radius


def coils(images):
    """(S, T, R, C) images -> (S, T, coil, R, C) complex, sensitivities of unit sum of squares."""
    row, column = np.mgrid[: SIZE[0], : SIZE[1]]
    maps = np.stack([np.exp(0.4j * row / 9), 0.8 + 0.3j * column, 1.5 - 0.02 * row + 0j])
    maps = maps / np.sqrt((np.abs(maps) ** 2).sum(0))
    return images[:, :, None] * maps


def kspace(images):
    """Centred orthonormal transform in the challenge's own words: fftshift(fft2(ifftshift(x))) / sqrt(n)."""
    shifted = np.fft.ifftshift(images, axes=(-2, -1))
    return np.fft.fftshift(np.fft.fft2(shifted), axes=(-2, -1)) / np.sqrt(np.prod(SIZE))


def write_73(path, name, data):
    """(S, T, coil, kx, ky) as MATLAB 7.3 does: axes reversed from (kx, ky, coil, S, T), complex as a pair."""
    stored = np.moveaxis(data, (3, 4, 2, 0, 1), (0, 1, 2, 3, 4)).transpose()
    pairs = np.empty(stored.shape, dtype=[("real", "<f4"), ("imag", "<f4")])
    pairs["real"], pairs["imag"] = stored.real, stored.imag
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", userblock_size=512) as file:
        file[name] = pairs


def t1_truth():
    return np.where(disc(6), 1830.0, 1210.0) * disc(12)


def molli_images():
    t1 = np.where(t1_truth() > 0, t1_truth(), 1000.0)
    signal = 1 - (1 + 1 / 0.86) * np.exp(-TIMES[:, :, None, None] / (0.86 * t1))
    return np.abs(signal) * (t1_truth() > 0)


def cine_images():
    return np.stack(
        [[1.0 * disc(12) + 2.0 * disc(7 - 3 * np.sin(np.pi * p / PHASES) - s) for p in range(PHASES)]
         for s in range(4)]
    )  # fmt: skip


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    root = tmp_path_factory.mktemp("CMRxRecon")
    for person in ("P001", "P002"):
        mapping = root / "MultiCoil" / "Mapping" / "TrainingSet" / "FullSample" / person
        cine = root / "MultiCoil" / "Cine" / "TrainingSet" / "FullSample" / person
        write_73(cine / "cine_sax.mat", "kspace_full", kspace(coils(cine_images())) * 1e-5)
        write_73(mapping / "T1map.mat", "kspace_full", kspace(coils(molli_images())) * 1e-5)
        lines = [",Slice1,Slice2", *(f"TI{n + 1},{a:g},{b:g}" for n, (a, b) in enumerate(TIMES.T))]
        (mapping / "T1map.csv").write_text("\n".join(lines) + "\n")
    image = sitk.Image([*SIZE, 4], sitk.sitkUInt8)
    image.SetSpacing((1.25, 1.75, 10.5))
    beside = root / "SingleCoil" / "Cine" / "TrainingSet" / "SegmentROI" / "P001"
    beside.mkdir(parents=True)
    sitk.WriteImage(image, str(beside / "cine_sax_forlabel.nii.gz"))
    (root / "MultiCoil" / "Cine" / "TrainingSet" / "AccFactor04" / "P003").mkdir(parents=True)
    return root


def test_everybody_with_both_is_found(cohort, tmp_path):
    assert is_cohort(cohort) and not is_cohort(tmp_path)
    assert [name for name, _, _ in studies(cohort)] == ["TrainingSet_P001", "TrainingSet_P002"]


def test_cine_is_what_was_sampled(cohort):
    _, load, _ = next(studies(cohort))
    cine = load()
    truth = cine_images()
    np.testing.assert_allclose(cine.images, truth * 4095 / truth.max(), atol=0.5)
    assert cine.trigger_ms[0].tolist() == pytest.approx([k * 1000 / PHASES for k in range(PHASES)])
    assert any("slice positions" in n for n in cine.source.notes)


def test_voxels_come_from_the_nifti_file_beside(cohort):
    (_, known, _), (_, unknown, _) = studies(cohort)
    geometry = known().geometries
    # the first NIfTI axis is kx, which runs down the rows
    assert geometry[0].spacing == (1.25, 1.75)
    assert np.linalg.norm(geometry[1].origin - geometry[0].origin) == pytest.approx(10.5)
    np.testing.assert_allclose(np.mean([g.centre for g in geometry], axis=0), 0, atol=1e-9)
    other = unknown()
    assert other.geometries[0].spacing == (NOMINAL["cine"].row, NOMINAL["cine"].column)
    assert any("no NIfTI" in n for n in other.source.notes)


def test_t1_is_the_truth_in_every_slice(cohort):
    _, _, load = next(studies(cohort))
    t1, truth = load(), t1_truth()
    for values in t1.values_ms:
        np.testing.assert_allclose(values[truth > 0], truth[truth > 0], rtol=1e-3)


def test_an_image_without_time_is_left_out(cohort):
    folder = next(cohort.glob("MultiCoil/Mapping/TrainingSet/FullSample/P001"))
    series = load_inversion_images(folder, cohort)
    assert series.trains(0) == (4, 3, 1) and series.trains(1) == (4, 3, 2)
    assert series.times_ms[0, :8].tolist() == sorted(TIMES[0, :8]) and np.isnan(series.times_ms[0, 8])
    own = series.images[1, :, 20, 22]
    expected = molli_images()[1, np.argsort(TIMES[1]), 20, 22]  # times and images were sorted together
    np.testing.assert_allclose(own / own.max(), expected / expected.max(), atol=1e-3)


def test_single_coil_and_older_matlab_files(tmp_path):
    folder = tmp_path / "SingleCoil" / "Mapping" / "TrainingSet" / "FullSample" / "P007"
    folder.mkdir(parents=True)
    data = np.moveaxis(kspace(molli_images()), (2, 3, 0, 1), (0, 1, 2, 3))
    scipy.io.savemat(folder / "T1map.mat", {"kspace_single_full": data})
    lines = ["image,s1,s2", *(f"{n},{a:g},{b:g}" for n, (a, b) in enumerate(TIMES.T))]
    (folder / "T1map.csv").write_text("\n".join(lines))
    values, truth = load_t1(folder, tmp_path).values_ms, t1_truth()
    np.testing.assert_allclose(values[1][truth > 0], truth[truth > 0], rtol=1e-3)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda f: write_73(f / "T1map.mat", "kspace_sub04", np.zeros((2, 9, 1, 4, 4))), "FullSample"),
        (lambda f: (f / "T1map.mat").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(40)), "again"),
        (lambda f: (f / "T1map.csv").unlink(), "T1map.csv"),
        (lambda f: (f / "T1map.csv").write_text(",a,b\n1,100,110\n2,x,200\n"), "T1map.csv"),
        (lambda f: (f / "T1map.csv").write_text(",a,b\n1,100,110\n2,190,200\n"), "2 lines"),
        (lambda f: write_73(f / "T1map.mat", "kspace_full", np.zeros((2, 9, 1, 4, 4))), "empty"),
    ],
)
def test_what_is_missing_or_damaged_is_one_sentence(cohort, tmp_path, harm, said):
    folder = tmp_path / "Mapping" / "TrainingSet" / "FullSample" / "P001"
    shutil.copytree(next(cohort.glob("MultiCoil/Mapping/TrainingSet/FullSample/P001")), folder)
    harm(folder)
    with pytest.raises(StudyError, match=said):
        load_t1(folder, tmp_path)
