"""What the command line promises apart from any study: usage, exit codes, events, sentences."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from T1DiffLogic import __version__
from T1DiffLogic.cli import build_parser, main
from T1DiffLogic.errors import Cancelled, StudyError
from T1DiffLogic.progress import Reporter, Stopwatch
from T1DiffLogic.sentences import sentence_of

ROOT = Path(__file__).parents[2]
COMMANDS = (
    "demo",
    "synthesize",
    "segment",
    "batch",
    "phantom",
    "fit-t1",
    "prepare",
    "train",
    "evaluate",
    "benchmark",
    "info",
)


def test_module_and_function_answer_alike():
    done = subprocess.run(
        [sys.executable, "-m", "T1DiffLogic", "--version"], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, f"t1diff {__version__}\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as exit_:
        main([command, "--help"])
    assert exit_.value.code == 0
    text = capsys.readouterr().out
    assert "--progress" in text and "--debug" in text


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["paint"],
        ["synthesize"],
        ["synthesize", "study"],
        ["synthesize", "study", "-o", "out", "--samples", "many"],
        ["synthesize", "study", "-o", "out", "--preset", "best"],
        ["synthesize", "study", "-o", "out", "--device", "tpu"],
        ["demo"],
        ["info", "--progress", "loud"],
    ],
)
def test_wrong_usage_is_exit_code_2(argv, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(argv)
    assert exit_.value.code == 2
    assert "usage: t1diff" in capsys.readouterr().err


def test_synthesize_takes_every_documented_option():
    args = build_parser().parse_args(
        "synthesize study -o out --native t1 --ed 1 --es 9 --labels-ed a.nrrd --labels-es b.nrrd "
        "--rv-insertions p.mrk.json --model m --preset paper --samples 3 --steps 7 --seed 5 "
        "--device cpu".split()
    )
    assert (args.ed, args.es, args.samples, args.steps, args.seed) == (1, 9, 3, 7, 5)
    assert (args.native, args.model, args.preset, args.device) == (Path("t1"), Path("m"), "paper", "cpu")


def test_info_as_text_and_as_event(capsys):
    assert main(["info"]) == 0
    text = capsys.readouterr().out
    assert f"t1diff       {__version__}" in text and "torch" in text and "device" in text
    assert main(["info", "--progress", "json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[0]["event"] == "info" and events[0]["versions"]["t1diff"] == __version__


def test_missing_study_is_one_sentence_and_one_event(capsys, tmp_path):
    code = main(["synthesize", str(tmp_path / "nowhere"), "-o", str(tmp_path / "out"), "--progress", "json"])
    captured = capsys.readouterr()
    assert code == 1
    assert captured.err.count("\n") == 1 and "nowhere" in captured.err and "Traceback" not in captured.err
    events = [json.loads(line) for line in captured.out.splitlines()]
    assert events[-1]["event"] == "error" and "nowhere" in events[-1]["message"]


def test_debug_shows_the_traceback(capsys, tmp_path):
    assert main(["synthesize", str(tmp_path / "nowhere"), "-o", str(tmp_path / "o"), "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error, has, lacks",
    [
        (StudyError("no cine in 'x';\n  export it again."), "no cine in 'x'; export it again.", "\n"),
        (Cancelled(), "stopped on request", "Cancelled"),
        (KeyboardInterrupt(), "stopped on request", "Interrupt"),
        (OSError(28, "No space left on device", "o/t1.nrrd"), "No space left on device: o/t1", "28"),
        (MemoryError(), "memory ran out", "Error"),
        (ModuleNotFoundError("No module", name="vtk"), "'vtk' is missing", "Error"),
        # an unforeseen exception may quote what stands in a DICOM element
        (ValueError("Doe^Jane 19500101"), "unexpected ValueError", "Doe"),
        (KeyError("PatientName Doe^Jane"), "--debug", "Doe"),
    ],
)
def test_sentences(error, has, lacks):
    sentence = sentence_of(error)
    assert has in sentence and lacks not in sentence


def test_interrupt_is_exit_code_1_without_traceback(monkeypatch, capsys):
    from T1DiffLogic.commands import info

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(info, "installed_versions", interrupted)
    assert main(["info"]) == 1
    err = capsys.readouterr().err
    assert "stopped on request" in err and "Traceback" not in err


def test_json_progress_is_thinned_but_begins_and_ends():
    out = io.StringIO()
    reporter = Reporter("json", out=out)
    for i in range(10_001):
        reporter("synthesize", i / 10_000)
    events = [json.loads(line) for line in out.getvalue().splitlines()]
    fractions = [e["fraction"] for e in events]
    assert fractions[0] == 0 and fractions[-1] == 1
    assert 150 < len(events) <= 210
    assert fractions == sorted(fractions)


def test_json_mode_prints_nothing_but_json():
    out, err = io.StringIO(), io.StringIO()
    reporter = Reporter("json", out=out, err=err)
    reporter.say("a summary for people")
    reporter("read", 0.5)
    assert [json.loads(line)["stage"] for line in out.getvalue().splitlines()] == ["read"]
    assert err.getvalue() == ""


def test_bar_in_a_log_file_is_one_line_per_stage():
    err = io.StringIO()
    reporter = Reporter("bar", out=io.StringIO(), err=err)
    for stage in ("read", "segment"):
        for i in range(50):
            reporter(stage, i / 49)
    assert err.getvalue().splitlines() == ["read …", "segment …"]


def test_stopwatch_adds_up_and_nests():
    watch = Stopwatch()
    for _ in range(2):
        with watch("outer"), watch("inner"):
            pass
    assert set(watch.seconds) == {"outer", "inner"}
    assert watch.seconds["outer"] >= watch.seconds["inner"] >= 0
