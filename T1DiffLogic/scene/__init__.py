"""Cine and Synthesis in an MRML scene, and back. The only room that imports slicer and vtk.

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
else:
    from .python_slicer import require_scene_classes

    require_scene_classes()

from .cine_nodes import CineCandidate, find_cines, read_cine, t1_map_of
from .cine_sequences import add_cine
from .display import (
    add_aha_preview,
    add_difference,
    add_marks,
    set_opacity,
    show_overlay,
    show_volumes,
    turn_to_volume,
    turn_views,
)
from .headless import headless_scene, load_scene
from .nodes import add_results, add_to_scene
from .outside import save_outside
from .plots import add_agreement_plots, add_area_curve, update_area_curve
from .python_slicer import in_application
from .removal import remove_cine, remove_nodes
from .review import add_review, reviewed_insertions, reviewed_labels
from .tables import add_segment_table, update_segment_table

__all__ = [
    "CineCandidate",
    "add_agreement_plots",
    "add_aha_preview",
    "add_area_curve",
    "add_cine",
    "add_difference",
    "add_marks",
    "add_results",
    "add_review",
    "add_segment_table",
    "add_to_scene",
    "find_cines",
    "headless_scene",
    "load_scene",
    "read_cine",
    "remove_cine",
    "remove_nodes",
    "reviewed_insertions",
    "reviewed_labels",
    "save_scene",
    "set_opacity",
    "show_overlay",
    "show_volumes",
    "t1_map_of",
    "turn_to_volume",
    "turn_views",
    "update_area_curve",
    "update_segment_table",
]


def save_scene(synthesis, path, statistics: dict | None = None) -> None:
    """Write everything that `add_to_scene` makes into the Slicer scene file `path` (.mrb).

    Raises StudyError when the file cannot be written.
    """
    path = Path(path).absolute()
    if in_application():
        save_outside(synthesis, path, statistics)
        return
    scene = headless_scene()
    try:
        add_to_scene(synthesis, scene, statistics)
        scene.SetRootDirectory(str(path.parent))
        scene.SetURL(str(path.with_suffix(".mrml")))
        if not scene.WriteToMRB(str(path), None) or not path.is_file():
            raise StudyError(f"{path} could not be written; is the disk full or the folder read-only?")
    finally:
        scene.Clear(True)
