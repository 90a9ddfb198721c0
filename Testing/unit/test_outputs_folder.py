"""The folder of one study: complete or not at all, and never at the cost of what lay there."""

from __future__ import annotations

import csv
import json
import os
import re
import sys
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk

from T1DiffLogic import outputs, statistics
from T1DiffLogic.errors import Cancelled, StudyError
from T1DiffLogic.report.identity import Identity
from T1DiffLogic.report.page import build_page
from T1DiffLogic.study import RESEARCH_NOTICE, T1_SCALE_NOTICE


@pytest.fixture(scope="module")
def written(synthesis, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study") / "OUT"
    result = outputs.write_outputs(synthesis, folder, {"read": 1.5})
    return folder, result


def strict(text):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_result_is_the_contract(written, synthesis):
    folder, returned = written
    result = strict((folder / "result.json").read_text(encoding="utf-8"))
    assert result == strict(json.dumps(returned))
    assert result["status"] == "ok"
    assert result["phases"] == {"ed": 0, "es": 6, "count": 12}
    assert result["slices"][7] == {
        "index": 7, "level": "basal", "valid": False, "quality": 0.25, "flags": ["no motion"]
    }  # fmt: skip
    assert result["slices"][8]["level"] is None
    assert {"mean_ms", "sd_ms", "n"} <= result["global"].keys()
    assert [s["id"] for s in result["segments"]] == list(range(1, 17))
    assert result["segments"][6]["mean_ms"] == pytest.approx(
        float(synthesis.t1_ms[synthesis.aha == 7].mean()), abs=0.5
    )
    assert result["segments"][6]["scar_fraction"] > 0.95 > 0.3 > result["segments"][9]["scar_fraction"]
    septum = np.isin(synthesis.aha, (8, 9))
    assert result["midseptal"]["mean_ms"] == pytest.approx(float(synthesis.t1_ms[septum].mean()), abs=0.1)
    assert result["reference"]["applies"] and result["reference"]["n"] == 60
    assert -30 < result["agreement"]["bias_ms"] < 0, "the native map was made 15 ms higher"
    assert result["provenance"]["seed"] == 7
    assert result["provenance"]["trained_on"] == "annuli of three patients"
    assert result["provenance"]["segmenter"]["trained_on"] == "drawn rings"
    assert result["provenance"]["scale"] == T1_SCALE_NOTICE
    assert result["seconds"]["read"] == 1.5 and result["seconds"]["write"] > 0


def test_every_listed_file_is_there_and_nothing_else(written):
    folder, result = written
    found = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert found == set(result["files"].values())
    expected = {"t1_map.nrrd", "t1_sd.nrrd", "valid.nrrd", "segmentation.seg.nrrd", "segments.csv"}
    assert expected | {"overlay.png", "bullseye.png", "thickening.png", "report.html", "result.json"} <= found
    assert not (folder / "dicom").exists()


def test_maps_hold_zero_where_nothing_was_judged(written, synthesis):
    folder, _ = written
    maps = {n: sitk.GetArrayFromImage(sitk.ReadImage(str(folder / f"{n}.nrrd"))) for n in ("t1_map", "valid")}
    assert maps["valid"].dtype == np.uint8 and maps["t1_map"].dtype == np.float32
    assert not maps["t1_map"][7].any() and not maps["valid"][7].any()
    np.testing.assert_array_equal(maps["t1_map"], synthesis.t1_ms)
    image = sitk.ReadImage(str(folder / "t1_map.nrrd"))
    assert image.GetMetaData("T1Diff_notice") == RESEARCH_NOTICE
    assert image.GetMetaData("T1Diff_trained_on") == "annuli of three patients"


def test_csv_is_the_table(written):
    folder, result = written
    with (folder / "segments.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(r["id"]) for r in rows] == list(range(1, 17))
    for row, expected in zip(rows, result["segments"], strict=True):
        assert row["name"] == expected["name"] and int(row["n"]) == expected["n"]
        assert float(row["mean_ms"]) == pytest.approx(expected["mean_ms"], abs=1e-3)


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.links, self.words = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [v for k, v in attributes if k in ("src", "href", "srcset", "action", "data")]
        if tag not in ("meta", "img", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_report_is_one_file_that_fetches_nothing(written):
    folder, result = written
    text = (folder / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert not page.open, "unclosed tags"
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in page.links)
    assert sum(link.startswith("data:") for link in page.links) == 8 * 6 - 4, "8 slices, one without a map"
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert not re.search(r"(?i)url\((?!#hatch\))|@import|https?://", text)
    words = " ".join(page.words)
    assert RESEARCH_NOTICE in words and T1_SCALE_NOTICE in words
    assert words.count("The model was trained on annuli of three patients.") == 2
    assert "digital phantoms" not in words, "what the model's own folder says, nothing else"
    assert "1" * 64 in words, "the weights of the segmenter"
    for row in result["segments"]:
        assert row["name"] in words and f"{row['mean_ms']:.0f}" in words
    assert "no motion" in words and "Agreement" in words


def test_report_escapes_what_comes_from_outside(written, synthesis):
    _, result = written
    hostile = json.loads(json.dumps(result))
    hostile["provenance"]["model"] = "<script>alert(1)</script>"
    hostile["slices"][7]["flags"] = ['<img src="https://example.org/x.png">']
    hostile["notes"] = ["a & b < c"]
    hostile["reference"]["source"] = "<iframe src='https://example.org'>"
    who = Identity('<svg onload="x">', "</div>", "'\"><b>", "&amp;")
    page = Page(build_page(hostile, synthesis, who))
    assert not {"script", "img", "iframe"} & set(page.tags) and not page.open
    assert page.words.count('<svg onload="x">') == 2, "on both sheets, as text"
    assert "a & b < c" in page.words


def test_empty_segment_is_null_and_an_empty_cell(synthesis, tmp_path):
    import dataclasses

    without = dataclasses.replace(
        synthesis, aha=np.where(synthesis.aha == 5, 0, synthesis.aha), native_ms=None, native_aha=None
    )
    result = outputs.study_result(without)
    assert result["segments"][4]["mean_ms"] is None and result["segments"][4]["n"] == 0
    assert result["agreement"] is None
    outputs.write_segments(result["segments"], tmp_path / "segments.csv")
    assert (tmp_path / "segments.csv").read_text().splitlines()[5].startswith("5,basal inferolateral,,,,0,,")
    page = build_page(result, without)
    assert "not judged" in page and "None" not in page and "Agreement with" not in page


def test_nan_is_never_written():
    with pytest.raises(ValueError):
        outputs._json({"mean_ms": float("nan")})


def test_other_files_stay_and_those_of_an_earlier_run_go(synthesis, non_uniform_synthesis, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "slices").mkdir()
    (tmp_path / "slices" / "mine.txt").write_text("mine too")
    outputs.write_outputs(non_uniform_synthesis, tmp_path)
    first = strict((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert (tmp_path / "slices" / "t1_map_03.nrrd").is_file()
    assert any("not uniform" in note for note in first["notes"])
    outputs.write_outputs(synthesis, tmp_path)
    assert not (tmp_path / "slices" / "t1_map_03.nrrd").exists(), "an earlier study's slice among this one's"
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (tmp_path / "slices" / "mine.txt").read_text() == "mine too"


def test_cancelled_or_failed_writing_leaves_the_folder_as_it_was(synthesis, tmp_path):
    (tmp_path / "t1_map.nrrd").write_text("an earlier map")
    (tmp_path / "result.json").write_text('{"status": "ok", "files": {"t1_map": "t1_map.nrrd"}}')

    def stop(stage, fraction, message=""):
        if message == "scene":
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        outputs.write_outputs(synthesis, tmp_path, progress=stop)

    def full(stage, fraction, message=""):
        if message == "report":
            raise OSError(28, os.strerror(28))

    with pytest.raises(StudyError, match="No space left.*free space"):
        outputs.write_outputs(synthesis, tmp_path, progress=full)
    assert sorted(os.listdir(tmp_path)) == ["result.json", "t1_map.nrrd"]
    assert (tmp_path / "t1_map.nrrd").read_text() == "an earlier map"


@pytest.fixture
def no_scene(monkeypatch):
    """As in the Slicer application, whose PythonSlicer cannot be started."""
    slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
    monkeypatch.setattr(slicer, "app", object(), raising=False)
    monkeypatch.setattr(sys, "executable", "/no/such/PythonSlicer")


def test_a_scene_that_cannot_be_written_costs_the_scene_alone(synthesis, tmp_path, no_scene):
    result = outputs.write_outputs(synthesis, tmp_path)
    (note,) = [note for note in result["notes"] if note.startswith("scene.mrb was not written: ")]
    assert "PythonSlicer did not run" in note and "addToScene" in note
    assert outputs.STAGE not in note and str(tmp_path) not in note
    found = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert found == set(result["files"].values()) and "report.html" in found and "scene.mrb" not in found
    assert "PythonSlicer did not run" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_scene_that_found_no_room_is_a_full_disk(synthesis, tmp_path, no_scene, monkeypatch):
    monkeypatch.setattr(outputs, "SCENE_ROOM_BYTES", 2**62)
    with pytest.raises(StudyError, match="No space left.*free space"):
        outputs.write_outputs(synthesis, tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_earlier_list_cannot_remove_files_elsewhere(tmp_path):
    (tmp_path / "kept.txt").write_text("outside")
    folder = tmp_path / "OUT"
    folder.mkdir()
    (folder / "result.json").write_text(
        '{"files": {"a": "../kept.txt", "b": "sub/../../kept.txt", "c": ".."}}'
    )
    with outputs.Staged(folder) as stage:
        (stage / "result.json").write_text("{}")
    assert (tmp_path / "kept.txt").read_text() == "outside"


def test_output_that_cannot_be_written_is_told_before_any_work(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StudyError, match="is a file"):
        outputs.check_writable(tmp_path / "file")
    with pytest.raises(StudyError, match="cannot be written to"):
        outputs.check_writable(tmp_path / "file" / "below")


def test_segment_command_files(synthesis, tmp_path):
    """labels_*.nrrd, labels.seq.nrrd and function.json as `t1diff segment --all-phases` leaves them."""
    cine, masks = synthesis.cine, synthesis.segmentation
    labels = np.stack([masks.labels_ed] * cine.n_phases, axis=1)
    anatomy = SimpleNamespace(
        phases=synthesis.phases,
        segmentation=masks,
        labels=labels,
        levels=tuple(s.level for s in synthesis.slices),
        judged=np.array([s.valid for s in synthesis.slices]),
        flags=tuple(s.flags for s in synthesis.slices),
        quality=tuple(0.5 + 0.05 * s for s in range(cine.n_slices - 1)) + (None,),
        function=statistics.ventricular_function(masks.labels_ed, masks.labels_es, cine.geometries),
        notes=(),
    )
    files = outputs.write_segmentation(cine, anatomy, tmp_path, all_phases=True)
    assert sorted(os.listdir(tmp_path)) == sorted(files.values())
    image = sitk.ReadImage(str(tmp_path / "labels_es.nrrd"))
    assert image.GetPixelID() == sitk.sitkUInt8
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), masks.labels_es)
    function = strict((tmp_path / "function.json").read_text(encoding="utf-8"))
    assert (function["ed"], function["es"]) == (0, 6)
    assert function["edv_ml"] > function["esv_ml"] > 0 and 0 < function["ef_percent"] < 100
    assert function["slices"][7]["flags"] == ["no motion"]
    assert function["slices"][-1]["quality"] is None and function["slices"][3]["quality"] == 0.65
