"""The summary on screen says what result.json says."""

from pathlib import Path

import pytest

from T1DiffLogic.outputs import study_result
from T1DiffLogic.summary import summary_of


@pytest.fixture(params=["with native", "without"])
def result(request, synthesis, synthesis_without_native):
    made = study_result(synthesis if request.param == "with native" else synthesis_without_native)
    files = {"overlay": "overlay.png", "bullseye": "bullseye.png", "report": "report.html"}
    return made | {"files": files, "seconds": {"read": 1.25, "write": 0.5}}


def test_table_has_every_segment_and_native_values_only_with_a_native_map(result):
    lines = summary_of(result, Path("out"))
    rows = [line for line in lines if line[:2].strip().isdigit()]
    assert len(rows) == 16
    native = {row["id"]: row["native_mean_ms"] for row in (result["agreement"] or {}).get("segments", ())}
    for row, line in zip(result["segments"], rows):
        assert f"{row['mean_ms']:.0f} ± {row['uncertainty_ms']:.0f} ms" in line
        assert line.count(" ms") == (2 if native else 1)
        if native:
            assert line.endswith(f"{native[row['id']]:.0f} ms")
    assert any(line.startswith("Agreement") for line in lines) == bool(native)


def test_flags_times_and_places(result):
    lines = summary_of(result, Path("out"))
    assert "Slice 7 is not judged: no motion" in lines
    assert not any(line.startswith("All slices") for line in lines)
    assert "Time: read 1.2 s, write 0.5 s; 1.8 s in all" in lines
    assert any(str(Path("out") / "bullseye.png") in line for line in lines)
    assert lines[-1].endswith("NOT FOR CLINICAL USE")


def test_a_flag_of_all_slices_is_said_once(result):
    for entry in result["slices"]:
        entry["flags"] = [*entry["flags"], "acquired at 1.5 T"]
    lines = summary_of(result, Path("out"))
    assert [line for line in lines if "1.5 T" in line] == ["All slices: acquired at 1.5 T"]


def test_notes_are_said_and_many_slices_do_not_crowd_out_the_rest(result):
    result["notes"] = ["RV insertion points are reviewed, not found."]
    lines = summary_of(result, Path("out"))
    assert lines.count("Note: RV insertion points are reviewed, not found.") == 1
    slices = [f"slice {s}: T1 slice 0, 0.1 mm away along the normal" for s in range(12)]
    result["notes"] = [*slices, "scene.mrb was not written: install slicer-core."]
    lines = [line for line in summary_of(result, Path("out")) if line.startswith("Note: ")]
    assert lines[0] == "Note: scene.mrb was not written: install slicer-core."
    assert lines[1:12] == [f"Note: {note}" for note in slices[:11]]
    assert lines[12:] == ["Note: 1 more notes are in result.json"]
