"""Where the LV ends at its base, phase by phase: the mitral plane moves down in systole by more than a slice.

A short-axis slice that shows the basal LV at ED shows the left atrium and the aortic root at ES. Both
are blood pools, and the root is even round and has a wall, so that a network that sees single images
takes them for LV; counted as such they inflate the ESV and lower the ejection fraction.
"""

from __future__ import annotations

import numpy as np

from ..study import LV_CAVITY, LV_MYOCARDIUM
from .frame import lv_centre, mean_normal, short_axis_frame, slice_positions
from .function import wall_along_rays
from .levels import base_to_apex
from .phases import cavity_area, mid_slices

THIN_SHARE = 0.6
"""A wall thinner than this share of the mid slices' wall at the same phase is none of the LV's, whose base
is about as thick as its middle. It is the median over all directions, an open one counting as no wall, so
a ring less than half closed is thin."""

THIN_MM = 5.0
"""Only a wall under this is taken for that of the aortic root (2 mm), of an atrium (2 to 3 mm) or of a
slice mostly in them: where the mid wall is hypertrophied, a normal basal wall (7 to 12 mm) may be little
of it."""

JUMP_MM = 10.0
DROP_SHARE = 0.6
"""A cavity that has its centre more than 10 mm from that of the next slice to the apex and less than 60 %
of its area is the aortic root: it leaves the LV antero-medially, 20 to 30 mm wide where the basal LV is
40 to 60. Neither alone will do: a breath-hold may displace a slice by 10 mm, and areas differ. Without a
cavity, LV of less than 60 % of the area of the next is a scrap of wall; more is a cavity squeezed shut."""

ANGLES = np.radians(np.arange(0, 360, 5))


def beyond_base(labels, geometries, to_apex: int) -> np.ndarray:
    """Slices that lie above the mitral plane, in each phase.

    labels      (S, P, R, C) labels of every phase
    geometries  S SliceGeometry
    to_apex     +1 when the slices run from base to apex along the stack normal, else -1
                (`levels.base_to_apex`)

    From the middle of the LV towards the base, the first slice whose wall is thin or open, or whose
    outline is another's, and every slice basal to it. Slices from the middle to the apex are never
    among them. Returns (S, P) bool; all False where no LV is found.
    """
    labels = np.asarray(labels)
    n_slices, n_phases = labels.shape[:2]
    beyond = np.zeros((n_slices, n_phases), dtype=bool)
    spacing = np.array([g.spacing for g in geometries])
    cavity = cavity_area(labels == LV_CAVITY, spacing)
    lv = cavity + cavity_area(labels == LV_MYOCARDIUM, spacing)
    mid = mid_slices(cavity)
    if not mid.any():
        return beyond
    order = np.argsort(slice_positions(geometries) * -to_apex)  # from apex to base
    ranks = np.flatnonzero(mid[order])
    frame, normal = short_axis_frame(geometries), mean_normal(geometries)

    def wall(s: int, p: int) -> float:
        return float(np.median(wall_along_rays(labels[s, p], geometries[s], frame, ANGLES)))

    for p in range(n_phases):
        thin = min(THIN_SHARE * float(np.median([wall(s, p) for s in order[ranks]])), THIN_MM)
        for rank in range(int(ranks[ranks.size // 2]) + 1, n_slices):
            s, inner = order[rank], order[rank - 1]
            area = cavity if cavity[s, p] > 0 else lv
            other = area[s, p] < DROP_SHARE * area[inner, p] and (
                cavity[s, p] == 0 or _apart(labels[:, p], geometries, normal, s, inner) > JUMP_MM
            )
            if other or wall(s, p) < thin:
                beyond[order[rank:], p] = True
                break
    return beyond


def end_at_base(soft: np.ndarray, geometries) -> None:
    """Take the LV out of (S, P, 4, R, C) probabilities of whole cycles above the mitral plane, in place.

    It becomes background; an RV stays, for its base is elsewhere.
    """
    labels = soft.argmax(axis=2).astype(np.uint8)
    area = cavity_area(labels == LV_CAVITY, np.array([g.spacing for g in geometries]))
    # the phase of the largest cavity is ED enough to tell base from apex by
    fullest = int(area[mid_slices(area)].sum(axis=0).argmax())
    beyond = beyond_base(labels, geometries, base_to_apex(labels[:, fullest], geometries))
    for s, p in np.argwhere(beyond):
        soft[s, p, 0] += soft[s, p, LV_MYOCARDIUM] + soft[s, p, LV_CAVITY]
        soft[s, p, [LV_MYOCARDIUM, LV_CAVITY]] = 0


def _apart(labels, geometries, normal, s: int, other: int) -> float:
    """mm in the plane between the cavity centres of two slices that have one."""
    a, b = (geometries[k].to_patient(lv_centre(labels[k])) for k in (s, other))
    return float(np.linalg.norm((a - b) - ((a - b) @ normal) * normal))
