"""The RV lies on one side of the LV, all along it: what is found on another side is something else.

Near the apex the RV is a sliver or gone, and epicardial fat, liver or stomach beside a small ring of
muscle look like one to a network that sees single images. The slices that show the RV well tell where it is.
"""

from __future__ import annotations

import numpy as np

from ..study import LV_CAVITY, LV_MYOCARDIUM, RV
from .frame import centroid, short_axis_frame, wrap

FARTHEST_DEGREES = 80.0
"""From the stack's direction towards the RV, which turns by some 40° from its outflow tract to its apex."""


def keep_on_one_side(soft: np.ndarray, geometries) -> None:
    """Take the RV out of (S, P, 4, R, C) probabilities where it lies on another side, in place.

    The side is that of the whole stack: the directions from LV to RV of all slices and phases, each
    with the area of its RV as its weight. What is taken out becomes background.
    """
    frame = short_axis_frame(geometries)
    ways = {}
    for s, p in np.ndindex(soft.shape[:2]):
        rv = soft[s, p, RV] > 0.5
        if not rv.any():
            continue
        lv = centroid(soft[s, p, LV_MYOCARDIUM].astype(np.float32) + soft[s, p, LV_CAVITY])
        if lv is None:
            continue
        a, b = (geometries[s].to_patient(c) for c in (lv, centroid(rv)))
        area = rv.sum() * np.prod(geometries[s].spacing)
        ways[s, p] = area, float(frame.angle(b - a))
    if not ways:
        return
    areas, angles = np.array(list(ways.values())).T
    side = np.angle((areas * np.exp(1j * angles)).sum())
    for (s, p), (_, angle) in ways.items():
        if abs(wrap(angle - side)) > np.radians(FARTHEST_DEGREES):
            soft[s, p, 0] += soft[s, p, RV]
            soft[s, p, RV] = 0
