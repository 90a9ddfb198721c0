"""`t1diff evaluate` as a command: usage, and what it writes of itself."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from T1DiffLogic.cli import build_parser, main
from T1DiffLogic.commands.evaluate import _command
from T1DiffLogic.dataset import phantom_cohort

ROOT = Path(__file__).parents[2]


def test_help_names_the_parts(capsys):
    with pytest.raises(SystemExit) as done:
        main(["evaluate", "--help"])
    text = capsys.readouterr().out
    assert done.value.code == 0
    for word in ("methods", "vendor-shift", "disease-shift", "samples", "split", "seed", "device"):
        assert f"--{word}" in text


@pytest.mark.parametrize(
    "more",
    [["--methods", "folder"], ["--methods", "=folder"], ["--methods", "a=x", "--samples", "0"], []],
)
def test_wrong_usage(more, capsys):
    with pytest.raises(SystemExit) as done:
        main(["evaluate", "dataset", "-o", "out", *more])
    assert done.value.code == 2


def test_one_name_for_two_methods_is_refused(capsys, tmp_path):
    pytest.importorskip("lightning", reason="lightning is not installed; the methods of the study need it")
    assert main(["evaluate", "dataset", "-o", str(tmp_path), "--methods", "a=x", "a=y"]) == 2
    assert "own" in capsys.readouterr().err


def test_a_missing_dataset_is_told_in_one_sentence(capsys, tmp_path):
    pytest.importorskip("lightning", reason="lightning is not installed; the methods of the study need it")
    assert main(["evaluate", str(tmp_path / "none"), "-o", str(tmp_path / "out"), "--methods", "a=x"]) == 1
    assert "t1diff prepare" in capsys.readouterr().err


def test_the_published_command_names_no_place_of_a_machine():
    words = ["evaluate", "/home/me/cohort", "-o", "docs/study", "--methods", "t1diff=/data/runs/t1diff",
             "pgan=/data/runs/pgan", "--vendor-shift", "/home/me/vendor", "--most-steps", "50"]  # fmt: skip
    command = _command(build_parser().parse_args(words))
    assert command == (
        "t1diff evaluate cohort -o study --methods t1diff=t1diff pgan=pgan --split test --samples 8 --seed 0 "
        "--most-steps 50 --vendor-shift vendor"
    )


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_study_asks_for_what_the_commands_take(capsys):
    """Every command line of the recipe, variables filled in, through the commands' own parsers."""
    shown = subprocess.run(
        ["make", "-n", "study", f"PYTHON={sys.executable}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.replace("\\\n", " ")
    asked = re.findall(r"-m (T1DiffLogic\S*) ([^|;\n]*)", shown)
    trained = []
    for module, words in asked:
        if module == "T1DiffLogic.dataset.phantom_cohort":
            with pytest.raises(SystemExit):
                phantom_cohort.main(["--help"])
            known = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", capsys.readouterr().out))
            assert set(re.findall(r"(?<!\S)--?[a-z][\w-]*", words)) <= known, words
        elif words.startswith("train"):
            loop = re.search(r"for method in ([^;]*);", shown).group(1).split()
            for method in loop:
                args = build_parser().parse_args(words.replace("$method", method).split())
                trained.append(str(args.output))
        else:
            args = build_parser().parse_args(words.split())
            models = {name: str(folder) for name, folder in args.methods}
    assert len(asked) == 4
    assert set(trained) <= set(models.values())
    assert next(iter(models)) == "t1diff"
    assert all((ROOT / folder / "config.json").is_file() for folder in set(models.values()) - set(trained))
