"""How the Slicer module works with the engine: records as files to the command line and back."""

import numpy as np
import pytest
import SimpleITK as sitk

from T1DiffLogic.cli import main
from T1DiffLogic.loading import load_cine
from T1DiffLogic.phantom.draws import patient_seed
from T1DiffLogic.phantom.patient import digital_patient
from T1DiffLogic.study import Cine
from T1DiffLogic.study_files import read_synthesis, write_cine, write_t1_map

FAST = ("--samples", "2", "--steps", "2", "--device", "cpu", "--progress", "none", "--ed", "0", "--es", "4")


@pytest.fixture(scope="module")
def patient():
    return digital_patient(patient_seed("test", 43), phases=10, infarcted=False)


@pytest.fixture(scope="module")
def handed(patient, tmp_path_factory):
    """Folder of study.cine.npz and native.t1map.npz: three slices in the middle of the ventricle."""
    folder, full = tmp_path_factory.mktemp("handed"), patient.cine
    keep = np.linspace(2, full.n_slices - 4, 3).astype(int)
    cine = Cine(full.images[keep], [full.geometries[k] for k in keep], full.trigger_ms[keep], full.source)
    write_cine(cine, folder / "study.cine.npz")
    write_t1_map(patient.t1, folder / "native.t1map.npz")
    return folder


def test_records_go_to_the_engine_and_the_result_comes_back(handed, tmp_path):
    study, out, record = str(handed / "study.cine.npz"), tmp_path / "out", tmp_path / "made.synthesis.npz"
    argv = ["synthesize", study, "-o", str(out), "--native", str(handed / "native.t1map.npz")]
    assert main([*argv, "--record", str(record), *FAST]) == 0
    made = read_synthesis(record)
    written = sitk.GetArrayFromImage(sitk.ReadImage(str(out / "t1_map.nrrd")))
    assert made.valid.any() and made.native_ms is not None
    np.testing.assert_array_equal(made.t1_ms, written)
    assert made.samples_ms.shape == (2, *made.t1_ms.shape)
    np.testing.assert_array_equal(made.cine.images, load_cine(study).images)
    assert made.provenance["steps"] == 2


def test_a_record_that_cannot_be_written_is_told_before_the_work(handed, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    argv = ["synthesize", str(handed / "study.cine.npz"), "-o", str(tmp_path / "out")]
    assert main([*argv, "--record", str(tmp_path / "file" / "made.npz"), *FAST]) == 1
    assert "file" in capsys.readouterr().err
    assert not (tmp_path / "out" / "result.json").exists()
