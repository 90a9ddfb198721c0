"""Records handed between processes by file: nothing is lost, damage is told in one sentence."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from dicom_cases import smooth_cine, t1_slices

from T1DiffLogic import study_files
from T1DiffLogic.errors import StudyError
from T1DiffLogic.loading import load_cine, load_t1_map
from T1DiffLogic.study import CardiacPhases, Cine, CineSource, LVSegmentation, SliceGeometry, T1Map

ROOT = Path(__file__).parents[2]
SOURCE = CineSource(
    "a/Ärzte/folder",
    "SIEMENS",
    1.494,
    None,
    (("x.dcm", "ü.dcm"), ()),
    ("Set aside: one.",),
    ("A note – of two.",),
    ((0, 17), ()),
)


def assert_equal(a, b, where="record"):
    """Equal to the last bit: dtype, shape, NaN and all, through every nested record."""
    assert type(a) is type(b), where
    if dataclasses.is_dataclass(a):
        for field in dataclasses.fields(a):
            assert_equal(getattr(a, field.name), getattr(b, field.name), f"{where}.{field.name}")
    elif isinstance(a, tuple | list):
        assert len(a) == len(b), where
        for index, (x, y) in enumerate(zip(a, b)):
            assert_equal(x, y, f"{where}[{index}]")
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype, where
        np.testing.assert_array_equal(a, b, err_msg=where)
    else:
        assert a == b, where


def cine() -> Cine:
    plain = smooth_cine()
    thick = [
        SliceGeometry(g.origin, g.row_direction, g.column_direction, g.spacing, g.shape, 8 + s / 3)
        for s, g in enumerate(plain.geometries)
    ]
    times = plain.trigger_ms + np.random.default_rng(2).random(plain.trigger_ms.shape)
    return Cine(plain.images, thick, times, SOURCE)


def test_cine_comes_back_to_the_last_bit(tmp_path):
    path = tmp_path / "study.cine.npz"
    study_files.write_cine(cine(), path)
    assert_equal(study_files.read_cine(path), cine())
    assert_equal(load_cine(path), cine())
    assert [p.name for p in tmp_path.iterdir()] == ["study.cine.npz"]


def test_t1_map_comes_back_and_its_scale_is_not_judged_again(tmp_path):
    t1 = T1Map(t1_slices().values_ms * 1.7, t1_slices().geometries, ("T1 scale: as stored.",))
    path = tmp_path / "native.t1map.npz"
    study_files.write_t1_map(t1, path)
    assert_equal(study_files.read_t1_map(path), t1)
    assert_equal(load_t1_map(path), t1)


@pytest.mark.parametrize("native", [True, False])
def test_synthesis_comes_back_to_the_last_bit(synthesis, synthesis_without_native, tmp_path, native):
    made = synthesis if native else synthesis_without_native
    made = dataclasses.replace(
        made, cine=dataclasses.replace(made.cine, source=SOURCE), phases=CardiacPhases(2, 7, 12, given=True)
    )
    path = tmp_path / "any name"
    study_files.write_synthesis(made, path)
    back = study_files.read_synthesis(path)
    assert_equal(back, made)
    assert np.isnan(back.segmentation.rv_insertions).any()


def test_written_over_an_older_file(tmp_path):
    path = tmp_path / "study.cine.npz"
    path.write_bytes(b"older")
    study_files.write_cine(cine(), path)
    assert_equal(study_files.read_cine(path), cine())


def rewritten(path, **changes):
    """The archive at `path` with other members; None takes one away."""
    with np.load(path) as archive:
        members = {name: archive[name] for name in archive.files}
    members |= changes
    np.savez(path.open("wb"), **{name: value for name, value in members.items() if value is not None})


def header_with(path, **changes):
    with np.load(path) as archive:
        header = json.loads(bytes(archive["header"]))
    for name, value in changes.items():
        header[name] = value
    return np.frombuffer(json.dumps(header).encode(), np.uint8)


DAMAGE = {
    "cut off": lambda p: p.write_bytes(p.read_bytes()[: p.stat().st_size // 2]),
    "not an archive": lambda p: p.write_bytes(b"something else"),
    "empty": lambda p: p.write_bytes(b""),
    "a byte in the pixels": lambda p: p.write_bytes(flipped(p.read_bytes())),
    "pickled objects": lambda p: rewritten(p, images=np.array([{"a": 1}], dtype=object)),
    "no header": lambda p: rewritten(p, header=None),
    "header is no JSON": lambda p: rewritten(p, header=np.frombuffer(b"{", np.uint8)),
    "header is a list": lambda p: rewritten(p, header=np.frombuffer(b"[1]", np.uint8)),
    "no images": lambda p: rewritten(p, images=None),
    "images of text": lambda p: rewritten(p, images=np.array(["a"])),
    "wrong times": lambda p: rewritten(p, trigger_ms=np.zeros((2, 3))),
    "too few slices": lambda p: rewritten(p, geometry_origin=np.zeros((2, 3))),
    "places that are no numbers": lambda p: rewritten(p, geometry_origin=np.full((5, 3), np.nan)),
    "sheared": lambda p: rewritten(p, geometry_row_direction=np.ones((5, 3))),
    "no source": lambda p: rewritten(p, header=header_with(p, source=None)),
    "source without a field": lambda p: rewritten(p, header=header_with(p, source={"path": ""})),
    "a plain array": lambda p: np.save(p.open("wb"), np.zeros(3)),
}


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0x55]) + content[middle + 1 :]


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_one_sentence(tmp_path, damage):
    path = tmp_path / "study.cine.npz"
    study_files.write_cine(cine(), path)
    DAMAGE[damage](path)
    with pytest.raises(StudyError, match="study.cine.npz is damaged or no cine of T1Diff") as told:
        load_cine(path)
    assert str(told.value).count("\n") == 0
    path.unlink()  # nothing holds it open, which Windows would refuse


def test_wrong_kind_version_and_absence_are_told(tmp_path, synthesis_without_native):
    path = tmp_path / "study.cine.npz"
    study_files.write_t1_map(t1_slices(), path)
    with pytest.raises(StudyError, match="holds a T1 map, not a cine"):
        load_cine(path)
    study_files.write_cine(cine(), path)
    rewritten(path, header=header_with(path, format=99))
    with pytest.raises(StudyError, match="another version of T1Diff"):
        load_cine(path)
    with pytest.raises(StudyError, match="does not exist"):
        study_files.read_synthesis(tmp_path / "nothing.npz")
    with pytest.raises(StudyError, match="could not be written"):
        study_files.write_cine(cine(), tmp_path / "no folder" / "study.cine.npz")


def test_damaged_synthesis_is_told(tmp_path, synthesis):
    path = tmp_path / "s.npz"
    for change in (
        {"native_ms": None},
        {"samples_ms": np.full((1, 9, 92, 104), np.nan)},
        {"aha": np.zeros(3)},
    ):
        study_files.write_synthesis(synthesis, path)
        rewritten(path, **change)
        with pytest.raises(StudyError, match="s.npz is damaged"):
            study_files.read_synthesis(path)


def test_nothing_is_pickled_and_little_is_imported(tmp_path):
    """The module's process reads results without torch, pydicom or SimpleITK being loaded for it."""
    path = tmp_path / "study.cine.npz"
    study_files.write_cine(cine(), path)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        for name in archive.namelist():
            with archive.open(name) as member:
                assert b"|O" not in member.read(128), name
    code = (
        "import sys; from T1DiffLogic import study_files; study_files.read_cine(sys.argv[1]);"
        "sys.exit(','.join({'torch', 'pydicom', 'SimpleITK', 'scipy'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_segmentation_is_kept_soft(tmp_path, synthesis):
    """Labels would round what conditions the model."""
    path = tmp_path / "s.npz"
    study_files.write_synthesis(synthesis, path)
    masks = study_files.read_synthesis(path).segmentation
    assert isinstance(masks, LVSegmentation)
    assert ((masks.ed > 0.01) & (masks.ed < 0.99)).any()
