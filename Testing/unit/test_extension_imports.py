"""What Slicer reads at start-up imports nothing heavy; the index of extensions asks for it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXTENSION = ROOT / "T1DiffExtension"
HEAVY = {"torch", "SimpleITK", "pydicom", "matplotlib", "scipy", "lightning", "safetensors", "cmcrameri"}
LIGHT_ROOMS = {"errors", "study", "options", "progress", "resources", "versions"}


def at_file_scope(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {n for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for n in ast.walk(f) if n is not f}
    for node in ast.walk(tree):
        if node in inside:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module


@pytest.mark.parametrize("path", sorted(EXTENSION.rglob("*.py")), ids=lambda p: p.name)
def test_nothing_heavy_at_file_scope(path):
    for name in at_file_scope(path):
        parts = name.split(".")
        assert parts[0] not in HEAVY, f"{path.name} imports {name} when Slicer starts"
        if parts[0] == "T1DiffLogic" and len(parts) > 1:
            assert parts[1] in LIGHT_ROOMS, f"{path.name} imports {name} when Slicer starts"


@pytest.mark.parametrize("path", sorted((ROOT / "T1DiffLogic").rglob("*.py")), ids=lambda p: p.name)
def test_the_package_knows_nothing_of_the_extension(path):
    assert "T1DiffLib" not in path.read_text(encoding="utf-8")


def test_importing_the_library_makes_the_package_importable_and_loads_nothing_else():
    code = (
        f"import sys; sys.path.insert(0, {str(EXTENSION)!r})\n"
        "import T1DiffLib, T1DiffLib.dependencies, T1DiffLib.module_logic, T1DiffLib.run_batch\n"
        "import T1DiffLogic\n"
        f"loaded = {sorted(HEAVY | {'numpy', 'slicer', 'vtk'})!r}\n"
        "sys.exit(', '.join(name for name in loaded if name in sys.modules) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
