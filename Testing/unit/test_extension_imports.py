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
    """Absolute dotted names that `path` imports when it is read."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {n for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for n in ast.walk(f) if n is not f}
    package = "T1DiffLib" if path.parent.name == "T1DiffLib" else ""
    for node in ast.walk(tree):
        if node in inside:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(part for part in (package if node.level else "", node.module) if part)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def read_at_start():
    """The module files and everything of T1DiffLib that they pull in at file scope."""
    waiting, found = sorted(EXTENSION.glob("*.py")) + [EXTENSION / "T1DiffLib" / "__init__.py"], []
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.append(path)
        for name in at_file_scope(path):
            parts = name.split(".")
            if parts[0] == "T1DiffLib" and len(parts) > 1:
                waiting += (EXTENSION / "T1DiffLib").glob(f"{parts[1]}.py")
    return sorted(found)


@pytest.mark.parametrize("path", sorted(EXTENSION.rglob("*.py")), ids=lambda p: p.name)
def test_no_panel_imports_a_heavy_package(path):
    heavy = {name.split(".")[0] for name in at_file_scope(path)} & HEAVY
    assert not heavy, f"{path.name} imports {heavy} at file scope"


@pytest.mark.parametrize("path", read_at_start(), ids=lambda p: p.name)
def test_what_slicer_reads_at_start_pulls_in_no_heavy_room(path):
    rooms = {n.split(".")[1] for n in at_file_scope(path) if n.startswith("T1DiffLogic.")}
    assert rooms <= LIGHT_ROOMS, f"{path.name} imports {rooms - LIGHT_ROOMS} when Slicer starts"


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
