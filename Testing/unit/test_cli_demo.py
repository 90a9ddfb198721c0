"""`t1diff demo`: the promise of the README's first command."""

import json

import pytest

from T1DiffLogic.cli import main
from T1DiffLogic.demo import MARKER, MARKER_TEXT, replaced_input, run_demo
from T1DiffLogic.errors import Cancelled
from T1DiffLogic.progress import Reporter


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """(folder, printed summary)."""
    import contextlib
    import io

    out, printed = tmp_path_factory.mktemp("demo"), io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main(["demo", "-o", str(out), "--progress", "none", "--device", "cpu"]) == 0
    return out, printed.getvalue()


def test_everything_is_left(demo):
    out, _ = demo
    result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    assert all((out / path).is_file() for path in result["files"].values())
    assert (out / "dicom_in" / "cine").is_dir() and (out / "dicom_in" / "t1_map").is_dir()
    assert result["agreement"]["n_segments"] >= 12


def test_summary_says_what_a_person_wants(demo):
    out, text = demo
    for part in ("ED phase", "AHA segment", "Global T1", "Agreement", "overlay.png", "NOT FOR CLINICAL USE"):
        assert part in text
    assert sum(line[:2].strip().isdigit() and " ms" in line for line in text.splitlines()) == 16
    # scouts, long-axis cine, the map and its screenshot lie beside the cine and are told apart
    assert sum(line.startswith("Set aside") for line in text.splitlines()) == 5


def test_map_agrees_with_the_patients_own(demo):
    out, _ = demo
    agreement = json.loads((out / "result.json").read_text(encoding="utf-8"))["agreement"]
    assert agreement["pearson_r"] > 0.6
    assert abs(agreement["bias_ms"]) < 60


def test_foreign_files_are_not_overwritten(tmp_path, capsys):
    (tmp_path / "dicom_in").mkdir()
    (tmp_path / "dicom_in" / "thesis.txt").write_text("irreplaceable")
    assert main(["demo", "-o", str(tmp_path), "--progress", "none"]) == 1
    assert "dicom_in" in capsys.readouterr().err
    assert (tmp_path / "dicom_in" / "thesis.txt").read_text() == "irreplaceable"


def test_patients_of_training_are_out_of_reach(tmp_path, capsys):
    assert main(["demo", "-o", str(tmp_path), "--seed", "99999999", "--progress", "none"]) == 2
    assert "--seed" in capsys.readouterr().err


@pytest.fixture
def earlier(tmp_path):
    """A folder as a complete demo of another patient leaves it, and a file of the user's own."""
    (tmp_path / "dicom_in").mkdir()
    (tmp_path / "dicom_in" / MARKER).write_text(MARKER_TEXT)
    (tmp_path / "dicom_in" / "old.dcm").write_text("another patient")
    (tmp_path / "report.html").write_text("another patient's report")
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "result.json").write_text('{"files": {"report": "report.html", "result": "result.json"}}')
    return tmp_path


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_demo_cancelled_while_the_patient_is_made_leaves_the_folder_as_it_was(earlier):
    class Stopping(Reporter):
        def __call__(self, stage, fraction, message=""):
            raise Cancelled

    before = content(earlier)
    with pytest.raises(Cancelled):
        run_demo(earlier, 0, "ge", "cpu", Stopping())
    assert content(earlier) == before and not list(earlier.glob(".*"))


def test_the_next_patient_never_lies_beside_the_last_ones_result(earlier):
    with replaced_input(earlier) as stage:
        (stage / "new.dcm").write_text("this patient")
        assert (earlier / "result.json").is_file(), "until the new patient is whole"
    assert set(content(earlier)) == {"mine.txt", f"dicom_in/{MARKER}", "dicom_in/new.dcm"}
    assert not list(earlier.glob(".*"))
