"""PythonSlicer knows only the core's classes: the others are found on its path, tried out, or it is told."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")

ROOT = Path(__file__).parents[2]

# what PythonSlicer's `import slicer` lacks, laid aside where its path would have it
SHIM = """
import slicer, sys, types
from pathlib import Path
from vtk import vtkObjectBase

aside = types.ModuleType("aside")
for name in {names!r}:
    setattr(aside, name, getattr(slicer, name))
    delattr(slicer, name)
sys.modules["aside"] = aside

def importVTKClassesFromDirectory(directory, dest, filematch="*"):
    for file in Path(directory).glob(filematch):
        module = __import__(file.name.split(".")[0])
        for name, value in vars(module).items():
            if isinstance(value, type) and issubclass(value, vtkObjectBase):
                setattr(sys.modules[dest], name, value)

slicer.util.importVTKClassesFromDirectory = importVTKClassesFromDirectory
"""
MODULES = {
    "vtkSlicerSegmentationsModuleLogicPython": ["vtkSlicerSegmentationsModuleLogic"],
    "vtkSlicerMarkupsModuleMRMLPython": ["vtkMRMLMarkupsFiducialNode"],
    "vtkSlicerMarkupsModuleLogicPython": ["vtkSlicerMarkupsLogic"],
    "vtkSlicerColorsModuleLogicPython": ["vtkSlicerColorLogic"],
}


@pytest.fixture
def python_slicer(tmp_path):
    """Runs code as an interpreter that has `modules` on its path beside the core."""

    def run(code, modules=MODULES):
        library = tmp_path / "qt-loadable-modules"
        library.mkdir()
        for module, names in modules.items():
            (library / f"{module}.py").write_text(f"from aside import {', '.join(names)}\n")
        shim = SHIM.format(names=[name for names in MODULES.values() for name in names])
        # every interpreter below it, the trial's too, starts without the classes
        (tmp_path / "sitecustomize.py").write_text(shim)
        paths = [str(tmp_path), str(library), str(ROOT)]
        return subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )

    return run


IMPORT = (
    "from T1DiffLogic.errors import StudyError\n"
    "try:\n    import T1DiffLogic.scene as scene\n"
    "except StudyError as error: print('refused:', error)\n"
    "else: print('ready', type(scene.headless_scene()).__name__)\n"
)


def test_classes_of_modules_are_found_on_the_path_and_a_scene_is_written(python_slicer):
    done = python_slicer(IMPORT)
    assert done.stdout.strip() == "ready vtkMRMLScene", done.stderr


def test_a_missing_module_is_told_before_anything_is_written(python_slicer):
    done = python_slicer(IMPORT, {k: v for k, v in MODULES.items() if "Segmentations" not in k})
    assert "refused" in done.stdout and "vtkSlicerSegmentationsModuleLogic" in done.stdout, done.stderr


def test_a_trial_that_ends_its_process_does_not_end_this_one(python_slicer):
    code = (
        "import T1DiffLogic.errors, importlib.util, subprocess\n"
        "real = subprocess.run\n"
        "def crash(command, **options):\n"
        "    return real([command[0], '-c', 'import os; os.abort()'], **options)\n"
        "subprocess.run = crash\n" + IMPORT
    )
    done = python_slicer(code)
    assert "refused" in done.stdout and "trial" in done.stdout, (done.stdout, done.stderr)


def test_the_wheel_is_ready_at_once():
    from T1DiffLogic.scene import python_slicer

    assert python_slicer.missing() == []
