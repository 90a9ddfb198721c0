"""What others make of dicom/: dciodvfy validates, an archive receives, dcmqi is how 3D Slicer imports."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time

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


@pytest.fixture
def archive(tmp_path):
    """(port, folder) of DCMTK's receiving SCP on loopback, as it stands for a PACS."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    received = tmp_path / "archive"
    received.mkdir()
    scp = subprocess.Popen(["storescp", "--output-directory", received, str(port)])
    try:
        until = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < until and scp.poll() is None, "storescp does not listen"
                time.sleep(0.1)
        yield port, received
    finally:
        scp.kill()
        scp.wait()


@tool("storescp", "dcmtk")
@tool("storescu", "dcmtk")
def test_an_archive_takes_every_object_as_it_is(written, archive):
    port, received = archive
    command = ["storescu", "--required", "--scan-directories", "127.0.0.1", str(port), written]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "Failed" not in done.stderr, done.stderr
    sent = {d.SOPInstanceUID: d for d in map(pydicom.dcmread, written.iterdir())}
    there = {d.SOPInstanceUID: d for d in map(pydicom.dcmread, received.iterdir())}
    assert len(sent) == 10 and there == sent


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
