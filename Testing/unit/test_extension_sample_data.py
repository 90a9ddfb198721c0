"""The digital patient of Sample Data: rendered once, whole or not at all, by another process."""

import os
import sys

import extension_path  # noqa: F401
import pytest
from T1DiffLib import paths, sample_data

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a shell script as interpreter")


@pytest.fixture
def interpreter(tmp_path, monkeypatch):
    """An interpreter that does `then` with OUT as $5, and counts how often it is called."""

    def make(then):
        script = tmp_path / "python"
        script.write_text(f'#!/bin/sh\necho "$@" >> "{tmp_path}/calls"\n{then}\n')
        script.chmod(0o755)
        monkeypatch.setattr(paths, "python_executable", lambda: str(script))
        return tmp_path / "calls"

    return make


PATIENT = 'mkdir -p "$5/patient_7/dicom" && touch "$5/patient_7/dicom/image"'


def test_it_is_rendered_once_and_found_again(interpreter, tmp_path):
    calls = interpreter(PATIENT)
    folder = sample_data.digital_patient_folder(tmp_path / "cache")
    assert [path.name for path in folder.iterdir()] == ["image"]
    assert sample_data.digital_patient_folder(tmp_path / "cache") == folder
    (command,) = calls.read_text().splitlines()
    assert command.startswith("-m T1DiffLogic phantom -o ") and "--split test" in command


def test_its_arguments_are_those_of_the_command(interpreter, tmp_path):
    from T1DiffLogic.cli import build_parser

    calls = interpreter(PATIENT)
    sample_data.digital_patient_folder(tmp_path / "cache")
    arguments = calls.read_text().split()[2:]
    parsed = build_parser().parse_args(arguments)
    assert parsed.command == "phantom" and parsed.n == 1 and parsed.split == "test"


@pytest.mark.parametrize(
    "then, words",
    [
        ("echo 't1diff: the disk is full.' >&2; exit 1", "the disk is full"),
        ("kill -SEGV $$", "could not be rendered"),
        ("exit 0", "could not be rendered"),
    ],
)
def test_a_failure_is_told_and_leaves_nothing(interpreter, tmp_path, then, words):
    interpreter(then)
    with pytest.raises(RuntimeError, match=words):
        sample_data.digital_patient_folder(tmp_path / "cache")
    assert not [name for _, folders, files in os.walk(tmp_path / "cache") for name in files]
    interpreter(PATIENT)
    assert sample_data.digital_patient_folder(tmp_path / "cache").is_dir(), "the next click tries again"


def test_a_run_that_was_broken_off_is_done_again(interpreter, tmp_path):
    interpreter(PATIENT)
    folder = sample_data.digital_patient_folder(tmp_path / "cache")
    (folder / "image").unlink()
    (folder.parents[1] / sample_data.FINISHED).unlink()
    assert (sample_data.digital_patient_folder(tmp_path / "cache") / "image").is_file()
