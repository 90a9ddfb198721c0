"""The site's reference range: z-scores in closed form, ranges that do not apply, files that are broken."""

from __future__ import annotations

import json
import re

import pytest

from T1DiffLogic import outputs, statistics
from T1DiffLogic.errors import StudyError
from T1DiffLogic.report.page import build_page
from T1DiffLogic.report.reference import ORIENTATION_NOTE, Reference, read_reference

SITE = {
    "format": 1,
    "sequence": "MOLLI 5s(3s)3s",
    "field_strength_t": 3,
    "vendor": "Any",
    "mean_ms": 1200,
    "sd_ms": 40,
    "n": 25,
    "source": "own volunteers",
}


def written(tmp_path, **changes):
    path = tmp_path / "site.json"
    path.write_text(json.dumps({k: v for k, v in {**SITE, **changes}.items() if v != "left out"}))
    return path


def test_the_installed_range_is_that_of_the_article():
    site = read_reference()
    assert (site.mean_ms, site.sd_ms, site.n, site.field_strength_t) == (1183.8, 37.5, 60, 3.0)
    assert "10.1007/s00508-018-1411-3" in site.source and not site.refused


def test_z_scores_are_those_of_the_closed_form(synthesis, tmp_path):
    result = outputs.study_result(synthesis, read_reference(written(tmp_path)))
    found = result["reference"]["z"]
    for row, z in zip(result["segments"], found["segments"], strict=True):
        assert z["id"] == row["id"]
        assert z["z"] == pytest.approx((row["mean_ms"] - 1200) / 40)
        assert z["z_uncertainty"] == pytest.approx(row["uncertainty_ms"] / 40)
    septal = statistics.midseptal_t1(synthesis)
    assert result["midseptal"] == septal
    assert found["midseptal"]["z"] == pytest.approx((septal["mean_ms"] - 1200) / 40)
    assert found["global"]["z"] == pytest.approx((result["global"]["mean_ms"] - 1200) / 40)
    page = build_page(result, synthesis)
    assert ORIENTATION_NOTE in page and "1200 ± 40 ms" in page and "own volunteers" in page
    infarcted = result["segments"][6]
    assert (infarcted["mean_ms"] - 1200) / 40 > 2 and page.count(">T1 high") == 2


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"field_strength_t": 1.5}, "reference is of 1.5 T"),
        ({"sequence": "MOLLI 3(3)3(3)5"}, r"reference is of MOLLI 3\(3\)3\(3\)5"),
        ({"sequence": "SASHA"}, "reference is of SASHA"),
    ],
)
def test_a_range_of_another_scale_gives_no_z_scores_and_says_why(synthesis, tmp_path, changes, reason):
    result = outputs.study_result(synthesis, read_reference(written(tmp_path, **changes)))
    assert not result["reference"]["applies"]
    assert {z["z"] for z in result["reference"]["z"]["segments"]} == {None}
    assert re.search(reason, result["reference"]["note"])
    assert ">T1 high" not in build_page(result, synthesis)


def test_an_unjudged_segment_has_no_z_score():
    site = Reference("MOLLI 5(3)3", 3.0, 1200.0, 40.0, "own")
    assert site.score({"mean_ms": None, "uncertainty_ms": None}) == {"z": None, "z_uncertainty": None}
    assert site.score({"mean_ms": 1160.0, "uncertainty_ms": None}) == {"z": -1.0, "z_uncertainty": None}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"format": 2}, 'no T1 reference of "format": 1'),
        ({"mean_ms": "1200"}, "mean_ms is not a number from 300 to 3000"),
        ({"mean_ms": 1.2}, "mean_ms is not a number from 300 to 3000"),
        ({"sd_ms": 0}, "sd_ms is not a number"),
        ({"sd_ms": True}, "sd_ms is not a number"),
        ({"sd_ms": float("nan")}, "sd_ms is not a number"),
        ({"sd_ms": 10**400}, "sd_ms is not a number"),
        ({"field_strength_t": None}, "field_strength_t is not a number"),
        ({"n": 2.5}, "n is not a whole number"),
        ({"source": "left out"}, "source is not a text"),
        ({"sequence": " "}, "sequence is not a text"),
        ({"vendor": 3}, "vendor is not a text"),
        ({"mean": 1200}, "unknown entry 'mean'"),
    ],
)
def test_a_broken_file_is_one_sentence_that_names_it(tmp_path, changes, sentence):
    path = written(tmp_path, **changes)
    with pytest.raises(StudyError, match=sentence) as caught:
        read_reference(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_files_that_are_no_json_and_files_that_are_not_there(tmp_path):
    path = tmp_path / "site.json"
    for content in (b"", b"{\n 'mean_ms': 3}", b"\xff\xfe\x00", b"[1]", b"[" * 100_000):
        path.write_bytes(content)
        with pytest.raises(StudyError, match="site.json"):
            read_reference(path)
    with pytest.raises(StudyError, match="check --reference"):
        read_reference(tmp_path / "none.json")


def test_optional_entries_may_be_left_out(tmp_path):
    site = read_reference(written(tmp_path, n="left out", vendor=None))
    assert site.n is None and site.vendor is None
