"""What Slicer's Python lacks is told, half-installed torch included, with the one action that mends it."""

import subprocess
import sys
import tomllib
from pathlib import Path

import extension_path  # noqa: F401
import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from T1DiffLib import dependencies
from T1DiffLib.dependencies import (
    INSTALL_PACKAGES,
    INSTALL_TORCH,
    REPAIR_TORCH,
    UPDATE_SLICER,
    Package,
    Report,
    Torch,
)

ROOT = Path(__file__).parents[2]
WORKS = Torch("2.13.0+cpu")


def all_there(**changed):
    versions = {"numpy": "2.4.1", "SimpleITK": "2.5.0", "pydicom": "3.0.1", "torch": "2.9.0+cu128",
                "matplotlib": "3.10", "cmcrameri": "1.9", "safetensors": "0.5.2"} | changed  # fmt: skip
    return tuple(Package(name, minimum, versions[name]) for name, minimum in dependencies.requirements())


def report(probed=WORKS, **changed):
    return Report(all_there(**changed), probed)


def test_requirements_are_those_of_pyproject():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    theirs = {r.name: str(r.specifier) for r in map(Requirement, listed)}
    assert {name: f">={minimum}" for name, minimum in dependencies.requirements()} == theirs


@pytest.mark.parametrize("pin", ["torch==2.3", "torch>=2.3,<3", "torch", "torch>=2.3; python_version>'3'"])
def test_a_requirement_of_another_form_is_refused(tmp_path, pin):
    file = tmp_path / "pyproject.toml"
    file.write_text(f'[project]\ndependencies = ["numpy>=2", "{pin}"]\n')
    with pytest.raises(ValueError, match="name>=version"):
        dependencies.requirements(file)


@pytest.mark.parametrize(
    "installed", ["2.3.0", "2.3", "2.13.0+cpu", "2.2.9", "2.10", "3", "1.13.1", "2.3.0rc1"]
)
def test_versions_compare_as_releases(installed):
    release = Version(Version(installed).base_version)
    assert Package("torch", "2.3", installed).satisfied == (release >= Version("2.3"))


def test_everything_there():
    complete = report()
    assert complete.ready and complete.action is None and "2.13.0+cpu, CPU only" in complete.sentence


def test_missing_torch_comes_before_missing_packages():
    lacking = report(Torch(problem="it is not installed"), torch=None, cmcrameri=None)
    assert lacking.action == INSTALL_TORCH and not lacking.ready
    assert [p.name for p in lacking.to_install] == ["cmcrameri"], "torch is not pip's to install"


def test_half_installed_torch_is_repaired_not_installed_over():
    broken = report(Torch(problem="ImportError: libtorch_cpu.so: cannot open shared object file"))
    assert broken.action == REPAIR_TORCH
    assert "libtorch_cpu" in broken.sentence and "uninstall" in broken.sentence


def test_old_torch_is_repaired():
    old = report(Torch("1.13.1"), torch="1.13.1")
    assert old.action == REPAIR_TORCH and "1.13.1 is too old" in old.sentence


def test_missing_packages_are_named():
    lacking = report(cmcrameri=None, safetensors="0.3.1")
    assert lacking.action == INSTALL_PACKAGES
    assert "cmcrameri>=1.8" in lacking.sentence and "safetensors>=0.4" in lacking.sentence


@pytest.mark.parametrize("own, version", [("numpy", "1.26.4"), ("pydicom", "2.2"), ("SimpleITK", None)])
def test_slicers_own_packages_are_never_installed(own, version):
    old = report(**{own: version})
    assert old.action == UPDATE_SLICER and own in old.sentence
    assert own not in {p.name for p in old.to_install}


def test_constraints_hold_slicers_own_packages_where_they_are():
    lines = dependencies.constraints(all_there())
    assert sorted(lines) == ["SimpleITK==2.5.0", "numpy==2.4.1", "pydicom==3.0.1"]
    assert all(Requirement(line) for line in lines), "pip reads them"


def test_torch_is_tried_out_in_another_process():
    found = dependencies.probe_torch(sys.executable)
    import torch

    assert found.works and found.version == torch.__version__
    assert found.gpu is None or torch.cuda.is_available()


def fake_python(folder, torch_source):
    """A launcher of this interpreter that finds another `torch` first."""
    package = folder / "torch"
    package.mkdir()
    (package / "__init__.py").write_text(torch_source)
    launcher = folder / "python"
    launcher.write_text(f'#!/bin/sh\nPYTHONPATH="{folder}" exec "{sys.executable}" "$@"\n')
    launcher.chmod(0o755)
    return str(launcher)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell script as interpreter")
@pytest.mark.parametrize(
    "source, problem",
    [
        ("", "has no attribute 'ones'"),  # the folder alone, as an installation that was broken off leaves it
        ("from torch._C import *", "No module named 'torch._C'"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "ends the process (signal 11)"),
        ("raise SystemExit(3)", "ends with code 3"),
        ("import time; time.sleep(60)", "did not end within 1 s"),
    ],
)
def test_a_torch_that_cannot_be_used_is_recognised(tmp_path, source, problem):
    found = dependencies.probe_torch(fake_python(tmp_path, source), timeout=1 if "sleep" in source else 60)
    assert not found.works and problem in found.problem
    assert report(found).action == REPAIR_TORCH


def test_a_python_that_is_not_there_is_told():
    assert "cannot be started" in dependencies.probe_torch("/no/such/PythonSlicer").problem


@pytest.mark.parametrize(
    "gpu, cuda, usable, words",
    [
        (None, None, False, "CPU only"),
        (None, "12.8", False, "sees no usable GPU"),
        ("A card", "12.8", True, "A card"),
        (
            "A newer card",
            "11.8",
            False,
            "sees no usable GPU",
        ),  # torch without kernels for it falls back silently
    ],
)
def test_the_device_is_told_as_it_is(gpu, cuda, usable, words):
    import json

    line = "T1DIFF" + json.dumps({"version": "2.9", "cuda": cuda, "gpu": gpu, "usable": usable})
    found = dependencies.told(0, f"a greeting of a launcher\n{line}\n", "")
    assert found.works and words in found.sentence


def test_child_processes_find_the_package_wherever_they_start(tmp_path):
    from T1DiffLib import paths

    environment = paths.child_environment({"PATH": "/usr/bin:/bin", "PYTHONPATH": "/elsewhere"})
    code = "import T1DiffLogic, os; print(os.path.dirname(T1DiffLogic.__file__))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert Path(done.stdout.strip()) == ROOT / "T1DiffLogic", done.stderr
    assert environment["PYTHONPATH"].endswith("/elsewhere"), "what Slicer had set stays"
