"""What others make of dicom/: dciodvfy, which validates, and dcmqi, with which 3D Slicer imports."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import dicom_output_cases as cases
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

pytest.importorskip("highdicom", reason="highdicom (extra 'dicom') is not installed")

KNOWN_WARNINGS = (
    r"\(0008,001c\)>",  # SyntheticData is younger than the validator's dictionary
    r"Unrecognized defined term = <(QUANTITY|99T1DIFF)>",
    r"(RescaleSlope|RescaleIntercept|RescaleType)\(.*not present in standard DICOM IOD",
    r"Retired Person Name form",  # the phantom's own name, of one part
)
"""docs/dicom-output.md explains each."""


def tool(name, package):
    return pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is not installed ({package})")


@pytest.fixture(scope="module", params=["siemens", "enhanced"])
def written(request, tmp_path_factory):
    """Slices with uneven gaps and one series each, or frames of one enhanced object."""
    folder = tmp_path_factory.mktemp(request.param)
    cine, _ = cases.source_study(folder / "in", request.param, tilt_degrees=0.4)
    cases.write(cases.result_of(cine), folder)
    return folder / "dicom"


@pytest.fixture(scope="module")
def uniform(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uniform")
    cine, _ = cases.source_study(folder / "in", "siemens", cases.UNIFORM_MM)
    synthesis = cases.result_of(cine)
    cases.write(synthesis, folder)
    return folder, synthesis


def complaints(path):
    """(errors, warnings that are not known ones) of the validator on one file."""
    done = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True)
    lines = (done.stdout + done.stderr).splitlines()
    errors = [line for line in lines if line.startswith("Error")]
    warnings = [line for line in lines if line.startswith("Warning")]
    return errors, [w for w in warnings if not any(re.search(known, w) for known in KNOWN_WARNINGS)]


@tool("dciodvfy", "Debian's dicom3tools")
def test_dciodvfy_finds_no_error(written, tmp_path):
    """In no object: but for the one attribute that this snapshot of its dictionary does not know yet."""
    paths = sorted(written.iterdir())
    assert len(paths) == 10
    for path in paths:
        errors, warnings = complaints(path)
        assert all(re.search(r"\(0008,001c\).*not a recognized standard", e) for e in errors), errors
        assert not warnings, path.name
        dataset = pydicom.dcmread(path)
        assert dataset.SyntheticData == "YES"
        del dataset.SyntheticData
        dataset.save_as(tmp_path / path.name)
        assert complaints(tmp_path / path.name) == ([], []), path.name


@tool("dciodvfy", "Debian's dicom3tools")
def test_dciodvfy_would_tell(written, tmp_path):
    """The test above means something only if the validator does complain."""
    dataset = pydicom.dcmread(written / "t1_map.dcm")
    del dataset.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence
    dataset.save_as(tmp_path / "broken.dcm")
    errors, _ = complaints(tmp_path / "broken.dcm")
    assert any("RealWorldValueMapping" in error for error in errors)


def imported(command, folder, name, *options):
    target = folder / f"{command}_{name}"
    target.mkdir()
    source = folder / "dicom" / f"{name}.dcm"
    done = subprocess.run(
        [command, "--inputDICOM", source, "--outputDirectory", target, *options],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return target


def check_places(image, geometries):
    for s, geometry in enumerate(geometries):
        for row, column in ((0, 0), (39, 0), (17, 31)):
            found = image.TransformIndexToPhysicalPoint((column, row, s))
            np.testing.assert_allclose(found, geometry.to_patient(np.array([row, column])), atol=1e-4)


@tool("paramap2itkimage", "dcmqi")
@pytest.mark.parametrize("name, field", [("t1_map", "t1_ms"), ("t1_sd", "sd_ms")])
def test_slicer_s_parametric_map_importer(uniform, name, field):
    """dcmqi lays frames down in file order: in any other order the heart comes out base for apex."""
    folder, synthesis = uniform
    image = sitk.ReadImage(str(imported("paramap2itkimage", folder, name) / "pmap.nrrd"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), getattr(synthesis, field))
    check_places(image, synthesis.cine.geometries)


@tool("segimage2itkimage", "dcmqi")
def test_slicer_s_segmentation_importer(uniform):
    folder, synthesis = uniform
    target = imported("segimage2itkimage", folder, "segmentation", "--mergeSegments")
    image = sitk.ReadImage(str(target / "1.nrrd"))
    labels = sitk.GetArrayFromImage(image)
    assert len(labels) == 3, "the slice outside the LV has no frame"
    np.testing.assert_array_equal(labels, synthesis.segmentation.labels_ed[:3])
    check_places(image, synthesis.cine.geometries[:3])


@tool("tid1500reader", "dcmqi")
def test_slicer_s_report_importer(uniform):
    folder, synthesis = uniform
    target = folder / "report.json"
    source = folder / "dicom" / "measurements.dcm"
    done = subprocess.run(
        ["tid1500reader", "--inputDICOM", source, "--outputMetadata", target], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    groups = json.loads(target.read_text())["Measurements"]
    means = {g["ReferencedSegment"]: float(g["measurementItems"][0]["value"]) for g in groups}
    expected = {row["id"]: row["mean_ms"] for row in cases.table(synthesis) if row["n"]}
    assert means == pytest.approx(expected, abs=1e-6)
