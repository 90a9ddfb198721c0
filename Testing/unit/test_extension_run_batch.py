"""run_batch.py, which Slicer runs as a script: it always exits, with the code of `t1diff batch`."""

import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import extension_path
import pytest
from T1DiffLib import run_batch
from T1DiffLib.dependencies import Package

SCRIPT = extension_path.EXTENSION / "T1DiffLib" / "run_batch.py"


def as_slicer_does(*arguments, **options):
    """The script in a process of its own, from elsewhere, with nothing of ours on the path."""
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, cwd="/", **options
    )


@pytest.fixture
def interpreter(tmp_path):
    """Makes an interpreter that writes down its arguments and then does what it is told to do."""

    def make(then):
        script = tmp_path / "python"
        script.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > "{tmp_path}/arguments"\n{then}\n')
        script.chmod(0o755)
        return str(script)

    return make


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a shell script as interpreter")


def test_arguments_go_through_as_they_are(interpreter, tmp_path):
    given = ["/data/a cohort", "-o", "/out", "--resume", "--seed", "7"]
    assert run_batch.run(given, interpreter("exit 0")) == 0
    assert (tmp_path / "arguments").read_text().splitlines() == ["-m", "T1DiffLogic", "batch", *given]


@pytest.mark.parametrize("then, code", [("exit 0", 0), ("exit 1", 1), ("exit 2", 2), ("kill -SEGV $$", 1)])
def test_exit_codes_are_those_of_the_command(interpreter, then, code):
    assert run_batch.run(["cohort", "-o", "out"], interpreter(then)) == code


def test_an_interpreter_that_cannot_be_started_is_a_failure(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["run_batch.py", "cohort", "-o", "out"])
    monkeypatch.setattr("T1DiffLib.paths.python_executable", lambda: "/no/such/PythonSlicer")
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert ended.value.code == 1
    assert "PythonSlicer" in capsys.readouterr().err


def test_missing_packages_are_told_and_not_installed():
    sentence = run_batch.what_is_missing((Package("torch", "2.3", None), Package("numpy", "2.0", "2.4")))
    assert "torch>=2.3" in sentence and "numpy" not in sentence and "open the module T1Diff" in sentence
    assert run_batch.what_is_missing((Package("numpy", "2.0", "2.4"),)) == ""


def test_the_real_command_and_its_exit_codes(tmp_path):
    nothing, out = str(tmp_path / "nothing"), str(tmp_path / "out")
    for arguments, code in ((["--help"], 0), (["--no-such-option"], 2), ([nothing, "-o", out], 1)):
        done = as_slicer_does(*arguments, timeout=120)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        assert ("nothing" in done.stderr) == (code == 1)
        assert ("--resume" in done.stdout) == (code == 0)


def test_what_the_batch_says_goes_through_python_s_own_print(interpreter, capsys):
    """Slicer takes what a child writes straight to its streams for Latin-1 and spoils it in its log."""
    assert run_batch.run(["c", "-o", "o"], interpreter("echo 'find … 2 × 3'; echo 'Größe' >&2")) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("find … 2 × 3\n", "Größe\n")


def test_stopping_it_stops_the_batch(interpreter, tmp_path):
    child = interpreter(f'echo $$ > "{tmp_path}/pid"; exec sleep 60')
    code = (
        f"import sys; sys.path.insert(0, {str(SCRIPT.parents[1])!r})\n"
        "from T1DiffLib import run_batch\n"
        f"run_batch.run(['c', '-o', 'o'], {child!r})\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stderr=subprocess.DEVNULL,
        # the tests may run in the background, where a shell has Ctrl-C ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    pid_file = Path(tmp_path / "pid")
    limit = time.monotonic() + 30
    while not (pid_file.is_file() and pid_file.read_text().strip()) and time.monotonic() < limit:
        time.sleep(0.05)
    pid = int(pid_file.read_text())
    process.send_signal(signal.SIGINT)
    process.wait(timeout=30)
    limit = time.monotonic() + 10
    while time.monotonic() < limit:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("the batch went on after it was stopped")
