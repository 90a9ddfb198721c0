"""A batch in one process: what is done, what is done again, what stops and what does not."""

import csv
import io
import json
import os
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from batch_cases import begun, cohort_of, paint, write_image

from T1DiffLogic.batch import session
from T1DiffLogic.batch.clock import Clock
from T1DiffLogic.batch.run import BatchOptions, run_batch
from T1DiffLogic.cli import main
from T1DiffLogic.errors import StudyError, UsageError
from T1DiffLogic.progress import Reporter

HERE = BatchOptions(workers=0)


def batch(tmp_path, options=HERE, out="out", **synthesis_options):
    return run_batch(tmp_path / "cohort", tmp_path / out, synthesis_options, options, Reporter("none"), paint)


def rows(output: Path) -> dict[str, dict]:
    with (output / "summary.csv").open(newline="", encoding="utf-8") as file:
        return {row["source"]: row for row in csv.DictReader(file)}


def folders(output: Path) -> list[str]:
    return sorted(p.name for p in output.iterdir() if p.is_dir() and not p.name.startswith("."))


def test_each_study_has_its_folder_its_row_and_its_line_of_the_index(tmp_path):
    cohort_of(tmp_path / "cohort", "one", "two")
    result = batch(tmp_path)
    assert (result.total, result.ok, result.failed, result.waiting, result.kept) == (2, 2, 0, 0, 0)
    table = rows(tmp_path / "out")
    assert set(table) == {"one", "two"} and folders(tmp_path / "out") == sorted(
        r["study"] for r in table.values()
    )
    row = table["one"]
    assert row["status"] == "ok" and float(row["global_t1_ms"]) == 1234.5 and row["slices_judged"] == "1"
    assert (row["ed"], row["es"], row["phases"], float(row["ef_percent"])) == ("0", "9", "25", 57.1)
    assert float(row["segment_16_t1_ms"]) == 1216.0 and row["segment_3_scar_fraction"] == ""
    assert "RESEARCH" in row["notice"] and row["remarks"] == "painted"

    class Links(HTMLParser):
        found = ()

        def handle_starttag(self, tag, attrs):
            self.found += tuple(v for k, v in attrs if k in ("href", "src"))

    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    links = Links()
    links.feed(page)
    assert sorted(links.found) == sorted(
        ["summary.csv", *(f"{r['study']}/report.html" for r in table.values())]
    )
    assert "RESEARCH ONLY" in page and "2 ok" in page
    assert page.count("<td class='n'>1 of 2</td>") == 2, "slices judged of those of the LV"


def test_people_and_programs_are_told_how_far_it_is(tmp_path):
    cohort_of(tmp_path / "cohort", "bad_1", "one")
    said, events = io.StringIO(), io.StringIO()
    for out, reporter in (("a", Reporter("none", said)), ("b", Reporter("json", events))):
        run_batch(tmp_path / "cohort", tmp_path / out, {}, HERE, reporter, paint)
    told = [line for line in said.getvalue().splitlines() if line.startswith("[")]
    assert re.fullmatch(r"\[1/2] bad_1-\w{10} failed: the cine .* · \d+ s left", told[0])
    assert re.fullmatch(r"\[2/2] one-\w{10} done · 0 s left", told[1])
    events = [json.loads(line) for line in events.getvalue().splitlines()]
    progress = [e for e in events if e["event"] == "progress" and e["stage"] == "batch"]
    assert [e["fraction"] for e in progress] == [0.5, 1.0] and progress[0]["message"].startswith("1/2 ")
    assert [e["status"] for e in events if e["event"] == "study"] == ["failed", "ok"]


def test_a_failing_study_stops_nothing_and_its_reason_is_told(tmp_path):
    cohort_of(tmp_path / "cohort", "bad_1", "exit_1", "fine", "odd_1")
    result = batch(tmp_path)
    assert (result.ok, result.failed) == (1, 3)
    table = rows(tmp_path / "out")
    assert table["bad_1"]["reason"] == "the cine is not what it should be; export it again."
    assert "ZeroDivisionError at batch_cases.py" in table["odd_1"]["reason"]
    assert table["exit_1"]["status"] == "failed" and table["fine"]["reason"] == ""
    for label in ("bad_1", "odd_1"):
        folder = tmp_path / "out" / table[label]["study"]
        assert [p.name for p in folder.iterdir()] == ["batch.json"]
        assert json.loads((folder / "batch.json").read_text())["reason"] == table[label]["reason"]
    assert table["bad_1"]["reason"] in (tmp_path / "out" / "batch.log").read_text(encoding="utf-8")
    assert table["bad_1"]["reason"] in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")


def test_the_next_run_does_only_what_is_missing(tmp_path):
    cohort_of(tmp_path / "cohort", "bad_1", "one", "two")
    batch(tmp_path)
    write_image(tmp_path / "cohort" / "three" / "1", "three")
    result = batch(tmp_path)
    assert begun(tmp_path / "out") == ["bad_1", "one", "two", "bad_1", "three"]
    assert (result.total, result.ok, result.kept, result.failed) == (4, 3, 2, 1)
    batch(tmp_path, BatchOptions(workers=0, resume=False))
    assert begun(tmp_path / "out")[5:] == ["bad_1", "one", "three", "two"]


@pytest.mark.parametrize(
    "harm", ["no result", "half a result", "another result", "file gone", "no record", "half a record"]
)
def test_what_a_kill_may_leave_is_done_again(tmp_path, harm):
    cohort_of(tmp_path / "cohort", "one", "two")
    batch(tmp_path)
    folder = tmp_path / "out" / rows(tmp_path / "out")["one"]["study"]
    result, record = folder / "result.json", folder / "batch.json"
    text = result.read_text()
    if harm == "no result":
        result.unlink()
    elif harm == "half a result":
        result.write_text(text[: len(text) // 2])
    elif harm == "another result":
        # as after a run with other options that was killed before it could write batch.json
        result.write_text(text.replace("1234.5", "1234.6"))
    elif harm == "file gone":
        (folder / "t1_map.nrrd").unlink()
    elif harm == "no record":
        record.unlink()
    else:
        record.write_text(record.read_text()[:20])
    assert batch(tmp_path).ok == 2
    assert begun(tmp_path / "out") == ["one", "two", "one"]
    assert result.read_text() == text


def test_changed_options_and_changed_files_are_done_again(tmp_path):
    cohort_of(tmp_path / "cohort", "one", "two")
    batch(tmp_path, seed=1)
    assert batch(tmp_path, seed=1, device="cpu").kept == 2
    assert batch(tmp_path, seed=2).kept == 0
    assert {row["seed"] for row in rows(tmp_path / "out").values()} == {"2"}
    assert batch(tmp_path, BatchOptions(workers=0, native=True), seed=2).kept == 0
    write_image(tmp_path / "cohort" / "two" / "more", "two")
    assert batch(tmp_path, BatchOptions(workers=0, native=True), seed=2).kept == 1
    assert begun(tmp_path / "out")[6:] == ["two"]


def test_a_failure_leaves_no_map_of_an_earlier_run(tmp_path, monkeypatch):
    """A map that was made with other options would be taken for the answer."""
    cohort_of(tmp_path / "cohort", "one")
    batch(tmp_path)
    folder = tmp_path / "out" / rows(tmp_path / "out")["one"]["study"]

    def refuses(job, say, progress):
        raise StudyError("refused.")

    run_batch(tmp_path / "cohort", tmp_path / "out", {"seed": 5}, HERE, Reporter("none"), refuses)
    assert [p.name for p in folder.iterdir()] == ["batch.json"]


@pytest.mark.parametrize("place", ["later_1", "later_2/deep"])
def test_input_that_vanishes_meanwhile_is_a_failure_of_its_study(tmp_path, place):
    cohort_of(tmp_path / "cohort", "drop_1", place, "zuletzt")
    result = batch(tmp_path)
    assert (result.ok, result.failed) == (2, 1)
    assert "vanished or changed" in rows(tmp_path / "out")[place]["reason"]
    assert begun(tmp_path / "out") == ["drop_1", "zuletzt"]


def test_input_that_changes_meanwhile_is_not_read_by_half(tmp_path):
    cohort_of(tmp_path / "cohort", "grow_1", "later_1")
    assert batch(tmp_path).failed == 1
    assert "still being copied" in rows(tmp_path / "out")["later_1"]["reason"]
    assert batch(tmp_path).ok == 2


def test_patient_is_in_no_file_and_no_name(tmp_path):
    cohort_of(tmp_path / "cohort", "naming_Jane", "odd_Doe/PAT-0815", "fine_doe_jane")
    batch(tmp_path)
    for path in (tmp_path / "out").rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        for part in (b"doe", b"jane", b"pat-0815"):
            assert part not in content.lower(), path
            assert part.decode() not in path.name.lower()
    reasons = {row["reason"] for row in rows(tmp_path / "out").values()}
    assert "… of … has no cine." in reasons


def test_a_folder_that_cannot_be_written_is_a_failure_of_its_study(tmp_path):
    cohort_of(tmp_path / "cohort", "one", "two")
    batch(tmp_path)
    name = rows(tmp_path / "out")["one"]["study"]
    for path in (tmp_path / "out" / name).iterdir():
        path.unlink()
    (tmp_path / "out" / name).rmdir()
    (tmp_path / "out" / name).write_text("in the way")
    result = batch(tmp_path)
    assert (result.ok, result.failed) == (1, 1)
    assert "is a file" in rows(tmp_path / "out")["one"]["reason"]


@pytest.fixture
def small_disk(tmp_path):
    """mount(size, *options): a file system of its own at tmp_path/out."""
    disk = tmp_path / "out"
    disk.mkdir()

    def mount(size, *options):
        argv = ["mount", "-t", "tmpfs", "-o", ",".join([f"size={size}", *options]), "none", str(disk)]
        try:
            done = subprocess.run(argv, capture_output=True, text=True)
        except OSError as error:
            pytest.skip(f"no mount here: {error}")
        if done.returncode:
            pytest.skip(f"a file system cannot be mounted here: {done.stderr.strip()}")
        return disk

    yield mount
    subprocess.run(["umount", str(disk)], capture_output=True)


def test_a_read_only_output_is_one_sentence_before_any_work(tmp_path, small_disk):
    cohort_of(tmp_path / "cohort", "one")
    small_disk("1m", "ro")
    with pytest.raises(StudyError, match="cannot be written to"):
        batch(tmp_path)
    assert not (tmp_path / "begun.txt").exists()


def test_nothing_is_begun_on_a_disk_that_is_nearly_full(tmp_path, small_disk):
    cohort_of(tmp_path / "cohort", "one")
    small_disk("10m")
    with pytest.raises(StudyError, match="less than 64 MB are free"):
        batch(tmp_path)
    assert not begun(tmp_path / "out")


def test_a_disk_that_fills_up_stops_the_batch_and_the_next_run_goes_on(tmp_path, small_disk):
    cohort_of(tmp_path / "cohort", "large_1", "large_2", "large_3")
    disk = small_disk("69m")
    result = batch(tmp_path)
    assert (result.ok, result.waiting) == (2, 1) and "free space" in result.stopped
    assert rows(disk)["large_3"]["status"] == "waiting"
    subprocess.run(["mount", "-o", "remount,size=90m", str(disk)], check=True)
    assert batch(tmp_path).ok == 3
    assert begun(disk) == ["large_1", "large_2", "large_3"]


def test_a_disk_that_is_full_within_a_study_is_a_failure_without_remains(tmp_path, small_disk, monkeypatch):
    monkeypatch.setattr(session, "MINIMUM_FREE_BYTES", 0)
    cohort_of(tmp_path / "cohort", "large_1", "small_1")
    disk = small_disk("1m")
    result = batch(tmp_path)
    assert (result.ok, result.failed) == (1, 1)
    assert "No space left" in rows(disk)["large_1"]["reason"]
    assert not list(disk.glob("*/.t1diff-*"))


def test_two_batches_do_not_share_an_output(tmp_path):
    cohort_of(tmp_path / "cohort", "one")
    caught = []

    def second(job, say, progress):
        with pytest.raises(StudyError, match="another batch is at work") as error:
            batch(tmp_path)
        caught.append(str(error.value))
        paint(job, say, progress)

    assert run_batch(tmp_path / "cohort", tmp_path / "out", {}, HERE, Reporter("none"), second).ok == 1
    assert caught and batch(tmp_path).kept == 1


def test_stop_within_a_study_leaves_nothing_half_written(tmp_path):
    cohort_of(tmp_path / "cohort", "one", "two")

    def interrupted(job, say, progress):
        if job.label == "two":
            (Path(job.folder) / ".t1diff-half").mkdir(parents=True)
            raise KeyboardInterrupt
        paint(job, say, progress)

    with pytest.raises(KeyboardInterrupt):
        run_batch(tmp_path / "cohort", tmp_path / "out", {}, HERE, Reporter("none"), interrupted)
    assert {k: r["status"] for k, r in rows(tmp_path / "out").items()} == {"one": "ok", "two": "waiting"}
    assert not list((tmp_path / "out").glob("*/.t1diff-*"))
    assert batch(tmp_path).kept == 1


def test_options_are_judged_before_any_study(tmp_path):
    cohort_of(tmp_path / "cohort", "one")
    with pytest.raises(UsageError, match="--samples 0"):
        batch(tmp_path, samples=0)
    with pytest.raises(StudyError, match="not a model folder"):
        batch(tmp_path, model=str(tmp_path))
    with pytest.raises(StudyError, match="own folder"):
        run_batch(tmp_path / "cohort", tmp_path / "cohort", {}, HERE, Reporter("none"), paint)
    assert not begun(tmp_path / "out")


@pytest.mark.parametrize(
    "argv", [["--workers", "-1"], ["--workers", "2", "--scheduler", "tcp://x:1"], ["--samples", "0"]]
)
def test_wrong_usage_is_exit_code_2(tmp_path, argv, capsys):
    cohort_of(tmp_path / "cohort", "one")
    try:
        code = main(["batch", str(tmp_path / "cohort"), "-o", str(tmp_path / "out"), *argv])
    except SystemExit as exit_:
        code = exit_.code
    assert code == 2


def test_command_with_a_study_that_holds_no_cine_is_exit_code_1(tmp_path, capsys):
    """The real study function, as far as a study without a cine takes it."""
    cohort_of(tmp_path / "cohort", "one")
    argv = [
        "batch",
        str(tmp_path / "cohort"),
        "-o",
        str(tmp_path / "out"),
        "--workers",
        "0",
        "--progress",
        "json",
    ]
    assert main(argv) == 1
    captured = capsys.readouterr()
    assert "1 of 1 studies failed" in captured.err and "Traceback" not in captured.err
    events = [json.loads(line) for line in captured.out.splitlines()]
    (study,) = [e for e in events if e["event"] == "study"]
    (done,) = [e for e in events if e["event"] == "done"]
    assert study["status"] == "failed" and study["reason"] == rows(tmp_path / "out")["one"]["reason"]
    assert (done["status"], done["failed"]) == ("incomplete", 1)


def test_list_shows_the_place_and_writes_nothing(tmp_path, capsys):
    cohort_of(tmp_path / "cohort", "Jane/one")
    assert main(["batch", str(tmp_path / "cohort"), "-o", str(tmp_path / "out"), "--list"]) == 0
    assert "Jane/one" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_formulas_in_names_reach_no_spreadsheet(tmp_path):
    cohort_of(tmp_path / "cohort", "=HYPERLINK(1)")
    batch(tmp_path)
    assert list(rows(tmp_path / "out")) == ["'=HYPERLINK(1)"]


def test_names_that_are_no_text_are_written_all_the_same(tmp_path):
    """A folder named in Latin-1, as old archives have them, and one with a line break."""
    cohort_of(tmp_path / "cohort", os.fsdecode(b"M\xfcller"), "two\nlines", os.fsdecode(b"bad_\xe9"))
    result = batch(tmp_path)
    assert (result.ok, result.failed) == (2, 1)
    assert set(rows(tmp_path / "out")) == {"M?ller", "two?lines", "bad_?"}
    assert "two\n" not in (tmp_path / "out" / "batch.log").read_text(encoding="utf-8")


def test_time_left_follows_the_pace_of_the_last_studies():
    now = [0.0]
    clock = Clock(now=lambda: now[0])
    clock.start(100)
    assert clock.left() == "…"
    for _ in range(60):
        now[0] += 90.0
        clock.tick()
    assert clock.left() == "1 h 00 min"
    now[0] += 3000.0
    assert clock.left() == "10 min"


def test_without_dask_it_works_here_by_itself_and_says_so_unless_workers_were_asked_for(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(session, "find_spec", lambda _name: None)
    cohort_of(tmp_path / "cohort", "one", "two")
    assert batch(tmp_path, BatchOptions()).ok == 2
    assert "Dask is not installed" in (tmp_path / "out" / "batch.log").read_text(encoding="utf-8")
    with pytest.raises(StudyError, match="--workers 0"):
        batch(tmp_path, BatchOptions(workers=2), out="other")
