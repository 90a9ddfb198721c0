"""Images whose headers lost where they lie, for uses that need no place in the patient."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..study import SliceGeometry
from .frames import Frame


def placed(frames: list[Frame]) -> tuple[list[Frame], tuple[str, ...]]:
    """`frames` as they are, and no note, where any of them says where it lies.

    Where none does, as in exports without geometry: each series as one slice, 10 mm apart from the origin,
    which a T1 map does not need, and a note.
    """
    if any(f.geometry is not None for f in frames):
        return frames, ()
    bare = [f for f in frames if f.defect.startswith("lacks") and min(f.shape) > 0]
    height = {uid: 10.0 * k for k, uid in enumerate(sorted({f.series_uid for f in bare}))}
    row, column, normal = np.eye(3)
    result = [f for f in frames if f not in bare]
    for frame in bare:
        spacing = frame.attributes.numbers("PixelSpacing", 2)
        known = spacing is not None and (spacing > 0.05).all() and (spacing < 50).all()
        pixel = tuple(spacing) if known else (1.0, 1.0)
        geometry = SliceGeometry(height[frame.series_uid] * normal, row, column, pixel, frame.shape)
        result.append(replace(frame, geometry=geometry, defect=""))
    note = "the headers hold no slice position: slices lie 10 mm apart, pixels without spacing are 1 mm wide."
    return result, (note,) if bare else ()
