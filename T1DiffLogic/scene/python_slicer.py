"""Scenes in PythonSlicer, the interpreter that comes with Slicer and runs without the application.

Its `import slicer` knows the classes of Slicer's core; those of the modules (markups, segmentations,
colour legends) lie on its path and are loaded here as the application does it. Writing a scene with a
part missing can end the process, and hours of a batch with it: so it is tried in another one first.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import slicer
import slicer.util  # PythonSlicer's slicer comes without it

from ..errors import StudyError

MODULES = ("Colors", "Markups", "Segmentations", "Sequences", "SubjectHierarchy", "Terminologies")
CLASSES = (
    "vtkMRMLColorLegendDisplayNode",
    "vtkMRMLMarkupsFiducialNode",
    "vtkMRMLSegmentationNode",
    "vtkMRMLSequenceBrowserNode",
    "vtkSlicerColorLogic",
    "vtkSlicerMarkupsLogic",
    "vtkSlicerSegmentationsModuleLogic",
    "vtkSlicerSequencesLogic",
)
_TRIAL = "T1DIFF_SCENE_TRIAL"
_SECONDS = 120


def require_scene_classes() -> None:
    """Make sure that this interpreter can write a scene; at once in the application and with the wheel.

    Raises StudyError with the reason where it cannot.
    """
    if in_application() or not missing():
        return
    _load_module_classes()
    if missing():
        raise StudyError(f"a Slicer scene cannot be made by this Python, which lacks {', '.join(missing())}.")
    if _TRIAL not in os.environ:
        _try_elsewhere()


def missing() -> list[str]:
    """The classes that a scene of T1Diff needs and that `slicer` does not have."""
    return [name for name in CLASSES if not hasattr(slicer, name)]


def environment_of_children() -> dict[str, str]:
    """The environment in which another process of this Python finds what this one does."""
    folders = [str(Path(__file__).parents[2]), *filter(None, sys.path)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}


def in_application() -> bool:
    """Is this the Slicer application, with or without its window?"""
    return getattr(slicer, "app", None) is not None


def _load_module_classes() -> None:
    load = getattr(slicer.util, "importVTKClassesFromDirectory", None)
    if load is None:
        return
    for folder in sys.path:
        # nodes before the logics that speak of them
        for part in ("MRML", "Logic"):
            for name in MODULES:
                stem = f"vtkSlicer{name}Module{part}Python"
                if folder and next(Path(folder).glob(f"{stem}.*"), None):
                    load(folder, "slicer", filematch=f"{stem}.*")


def _try_elsewhere() -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "trial.mrb"
        command = [sys.executable, "-m", __name__, str(file)]
        environment = environment_of_children() | {_TRIAL: "1"}
        try:
            done = subprocess.run(command, env=environment, capture_output=True, timeout=_SECONDS)
            went_well = done.returncode == 0 and file.is_file()
        except (OSError, subprocess.TimeoutExpired):
            went_well = False
    if not went_well:
        raise StudyError("a Slicer scene cannot be written by this Python; a trial of it failed.")


def _trial(path: str) -> None:
    """Write a scene with every kind of node that T1Diff makes."""
    import numpy as np

    from ..study import Cine, SliceGeometry
    from . import add_cine, add_review, headless_scene

    geometries = [SliceGeometry([0, 0, 8.0 * s], [1, 0, 0], [0, 1, 0], (1.5, 1.5), (8, 8)) for s in range(2)]
    cine = Cine(np.ones((2, 2, 8, 8)), tuple(geometries), np.array([[0.0, 300.0]] * 2))
    scene = headless_scene()
    nodes = add_cine(cine, scene)
    labels = np.full((2, 8, 8), 3, np.uint8)
    add_review(cine, labels, labels, np.ones((2, 2, 2)), scene)
    slicer.modules.colors.logic().AddDefaultColorLegendDisplayNode(nodes["cine_frame"])
    scene.SetRootDirectory(str(Path(path).parent))
    scene.SetURL(str(Path(path).with_suffix(".mrml")))
    written = scene.WriteToMRB(path, None)
    scene.Clear(True)
    sys.exit(0 if written else 1)


if __name__ == "__main__":
    _trial(sys.argv[1])
