"""pyproject, constraints and the tree agree, so that a wheel and a fresh set-up hold everything."""

import re
import tomllib
from pathlib import Path, PurePath

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def requirements():
    yield from PYPROJECT["project"]["dependencies"]
    for extra in PYPROJECT["project"]["optional-dependencies"].values():
        yield from extra


def test_every_package_is_in_the_wheel():
    found = {".".join(p.parent.relative_to(ROOT).parts) for p in (ROOT / "T1DiffLogic").rglob("*.py")}
    listed = set(PYPROJECT["tool"]["setuptools"]["packages"]) - {"T1DiffLogic.Resources"}
    assert found == listed


def test_the_wheel_and_slicer_carry_the_models_and_nothing_of_their_training():
    globs = PYPROJECT["tool"]["setuptools"]["package-data"]["T1DiffLogic.Resources"]
    carried = {p for pattern in globs for p in (ROOT / "Resources").glob(pattern)}
    models = [p.parent for p in (ROOT / "Resources" / "Models").glob("*/config.json")]
    assert models
    expected = {m / name for m in models for name in ("config.json", "model.safetensors")}
    assert carried == expected | set((ROOT / "Resources" / "Configs").iterdir())
    for left in ("training_state.ckpt", "log.csv"):
        assert not any(PurePath("Models", "gf_unet", left).match(pattern) for pattern in globs)
    cmake = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    listed = set(re.findall(r"(?<=\s)Resources/([^\s)]+)", cmake))
    assert listed - {"UI/*.ui", "Icons/*.png"} == set(globs)


def test_requirements_have_lower_bounds_and_no_pins():
    for requirement in requirements():
        assert re.fullmatch(r"[A-Za-z0-9-]+>=[\d.]+", requirement), requirement


def test_constraints_pin_every_requirement_within_its_bound():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").split("\n")
    pins = dict(line.lower().split("==") for line in lines if "==" in line)
    for requirement in requirements():
        name, bound = requirement.lower().split(">=")
        assert name in pins, f"constraints.txt lacks {name}"
        assert [int(v) for v in pins[name].split(".")[:2]] >= [int(v) for v in bound.split(".")[:2]]


def test_no_registry_or_local_version_is_named():
    for name in ("constraints.txt", "pyproject.toml", "Makefile", ".ci/run"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert not re.search(r"index-url|find-links|https?://|\+cpu", text), name


def test_versions_agree():
    import T1DiffLogic

    assert T1DiffLogic.__version__ == PYPROJECT["project"]["version"]
