"""Imports point one way (docs/architecture.md), and the command line starts without heavy packages."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "T1DiffLogic"

BASE = set("study errors options progress resources versions devices look_locker stack_volume".split())
READING = BASE | {"dicom", "loading", "nrrd_files", "review_files", "study_files", "volumes"}
HEART = BASE | {"anatomy", "engine"}
SPINE = READING | HEART | {"synthesis", "sampling", "segmentation", "statistics", "model"}
WRITING = SPINE | {"dicom_out", "outputs", "scene", "report"}
ALLOWED = {
    "__init__": {"errors", "loading", "options", "outputs", "segmentation", "study", "synthesis"},
    "errors": set(),
    "sentences": {"errors"},
    "resources": {"errors"},
    "progress": {"errors"},
    "versions": {"__init__"},
    "devices": {"errors"},
    "model": SPINE - {"synthesis", "segmentation"},
    "sampling": HEART,
    "study": {"errors"},
    "options": {"errors", "resources"},
    "look_locker": {"errors"},
    "stack_volume": {"errors", "study"},
    "study_files": {"errors", "study"},
    "nrrd_files": BASE | {"nrrd_files"},
    # the engine knows tensors only: no study, no files but its own
    "engine": {"engine", "errors", "resources"},
    "anatomy": HEART,
    "dicom": READING,
    "cmrxrecon": READING | {"cmrxrecon"},
    "loading": READING,
    "review_files": READING,
    "volumes": READING,
    "summary": {"study"},
    "statistics": SPINE - {"synthesis", "segmentation"},
    "segmentation": SPINE - {"synthesis"},
    "synthesis": SPINE,
    "outputs": WRITING,
    "scene": WRITING,
    "report": WRITING,
    "dicom_out": WRITING | {"sentences"},
    "phantom": READING | HEART | {"phantom"},
    "dataset": WRITING | {"batch", "cmrxrecon", "dataset", "phantom", "sentences"},
    "training": SPINE | {"dataset", "phantom", "training"},
    "evaluation": WRITING | {"dataset", "evaluation", "phantom", "training"},
    "benchmark": SPINE | {"benchmark", "evaluation", "phantom", "training"},
    "whole_study": WRITING,
    "t1_fit": WRITING,
    "batch": WRITING | {"batch", "sentences"},
    "demo": WRITING | {"phantom", "summary", "whole_study"},
    "commands": WRITING
    | {
        "batch",
        "benchmark",
        "commands",
        "dataset",
        "demo",
        "evaluation",
        "phantom",
        "summary",
        "t1_fit",
        "training",
        "whole_study",
    },
    "cli": {"commands", "errors", "progress", "sentences", "study"},
    "__main__": {"cli"},
}
HEAVY = {"torch", "SimpleITK", "pydicom", "matplotlib", "scipy", "slicer", "vtk", "lightning", "safetensors"}
HEAVY |= {"h5py", "dask", "distributed", "filelock", "highdicom", "monai"}
LIGHT_ROOMS = set(
    "__init__ __main__ cli commands errors options progress resources sentences study versions".split()
)


def files():
    return sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path):
    """(absolute dotted name, at file scope) of every import, those inside functions included."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {n for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for n in ast.walk(f) if n is not f}
    package = ("T1DiffLogic", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node not in inside
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *([node.module] if node.module else [])))
            if module in ("T1DiffLogic", ".".join(package)) and node.level or module == "T1DiffLogic":
                # `from . import x`: x may be a room or a name of __init__
                for alias in node.names:
                    yield f"{module}.{alias.name}", node not in inside
            else:
                yield module, node not in inside


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_rooms_import_only_what_they_may(path):
    own = room(path)
    assert own in ALLOWED, f"{own} is a new room; give it its place in this test and in docs/architecture.md"
    for name, _ in imports(path):
        parts = name.split(".")
        if parts[0] != "T1DiffLogic" or len(parts) < 2:
            continue
        target = parts[1]
        known = (PACKAGE / target).is_dir() or (PACKAGE / f"{target}.py").is_file()
        if known and not (target == own and own != "__init__"):
            assert target in ALLOWED[own], f"{own} must not import {target}"


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_only_the_scene_room_knows_slicer(path):
    outside = {name.split(".")[0] for name, _ in imports(path)} & {"slicer", "vtk", "qt", "ctk", "vtkmodules"}
    assert not outside or room(path) == "scene"


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_light_rooms_stay_light(path):
    if room(path) in LIGHT_ROOMS:
        heavy = {name.split(".")[0] for name, top in imports(path) if top} & HEAVY
        assert not heavy, f"{path.name} imports {heavy} at file scope"


def test_help_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from T1DiffLogic.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        f"loaded = {sorted(HEAVY)!r}\n"
        "sys.exit(','.join(n for n in loaded if n in sys.modules) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"`t1diff --help` imported {done.stderr}"
    assert "synthesize" in done.stdout


def test_public_names_resolve():
    import T1DiffLogic

    for name in T1DiffLogic.__all__:
        assert getattr(T1DiffLogic, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'synthesise'"):
        T1DiffLogic.synthesise  # noqa: B018
