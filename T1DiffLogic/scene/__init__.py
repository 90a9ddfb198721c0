"""Synthesis -> MRML. The only room that imports slicer and vtk.

In the Slicer application both are there; elsewhere they come with the wheels of `t1diff[scene]`
(slicer-core and vtk, which must never be installed into Slicer's own Python).
"""

from __future__ import annotations

from pathlib import Path

from ..errors import StudyError

try:
    import slicer  # noqa: F401
    import vtk  # noqa: F401
except ImportError as error:
    raise StudyError(
        f"a Slicer scene needs slicer-core and vtk, which cannot be loaded ({error}); "
        "run: pip install 't1diff[scene]'."
    ) from error

from .headless import headless_scene, load_scene
from .nodes import add_to_scene

__all__ = ["add_to_scene", "headless_scene", "load_scene", "save_scene"]


def save_scene(synthesis, path, statistics: dict | None = None) -> None:
    """Write everything that `add_to_scene` makes into the Slicer scene file `path` (.mrb).

    Raises StudyError when the file cannot be written.
    """
    path = Path(path).absolute()
    scene = headless_scene()
    try:
        add_to_scene(synthesis, scene, statistics)
        scene.SetRootDirectory(str(path.parent))
        scene.SetURL(str(path.with_suffix(".mrml")))
        if not scene.WriteToMRB(str(path), None) or not path.is_file():
            raise StudyError(f"{path} could not be written; is the disk full or the folder read-only?")
    finally:
        scene.Clear(True)
