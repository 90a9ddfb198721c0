"""GF-UNet on as few phases as ED and ES need: every second one, and those beside the two that are found.

For digital patients, of which a study makes hundreds and whose cavity curves are smooth. Own scans are
segmented at every phase, as in a synthesis.
"""

from __future__ import annotations

import numpy as np

from ..anatomy.base import end_at_base
from ..anatomy.phases import cavity_area, find_phases
from ..anatomy.segmenter import LOCATING_PHASES, Progress, Segmenter, restored, tidied
from ..errors import StudyError
from ..study import LV_CAVITY, Cine

EVERY = 2


class SparseSegmenter(Segmenter):
    """A Segmenter whose soft masks between segmented phases are interpolated in time.

    ED and ES as `anatomy.phases.find_phases` finds them, and the phases beside them, are always segmented.
    """

    def segment_cine(self, cine: Cine, progress: Progress | None = None) -> np.ndarray:
        """(S, P, 4, R, C) float16 probabilities, as Segmenter.segment_cine; raises as that does."""
        count = cine.n_phases
        some = np.unique(np.linspace(0, count, LOCATING_PHASES, endpoint=False).astype(int))
        roi = self._locate(cine.images[:, some], cine.geometries, cine.images)
        crops = roi.extract(cine.images)
        progress = progress or (lambda share: None)
        seen: dict[int, np.ndarray] = {}
        wanted = set(range(0, count, EVERY))
        while wanted:
            phases = sorted(wanted)
            frames = crops[:, phases].reshape(-1, *crops.shape[2:])
            found = tidied(self._soft(frames), roi.pixel_mm).reshape(
                cine.n_slices, len(phases), 4, *crops.shape[2:]
            )
            seen |= {phase: found[:, k] for k, phase in enumerate(phases)}
            progress(min(len(seen) / count, 0.9))
            soft = _interpolated(seen, count)
            wanted = _beside_extremes(soft, roi.pixel_mm, cine.trigger_ms) - set(seen)
        result = np.stack([restored(soft[s], roi, s) for s in range(cine.n_slices)])
        end_at_base(result, cine.geometries)
        progress(1.0)
        return result


def _interpolated(seen: dict[int, np.ndarray], count: int) -> np.ndarray:
    """{phase: (S, 4, H, W)} -> (S, count, 4, H, W), linear between the phases seen; the cycle closes."""
    known = sorted(seen)
    result = np.empty((len(seen[known[0]]), count, *seen[known[0]].shape[1:]), dtype=np.float32)
    for low, high in zip(known, [*known[1:], known[0] + count]):
        for phase in range(low, high):
            share = (phase - low) / (high - low)
            result[:, phase % count] = (1 - share) * seen[low] + share * seen[high % count]
    return result


def _beside_extremes(soft: np.ndarray, pixel_mm: float, trigger_ms: np.ndarray) -> set[int]:
    """ED, ES and their neighbours by the cavity curve so far; every phase where it does not tell them."""
    count = soft.shape[1]
    spacing = (pixel_mm, pixel_mm)
    try:
        found = find_phases(cavity_area(soft[:, :, LV_CAVITY], spacing), spacing, trigger_ms)
    except StudyError:
        return set(range(count))
    return {(phase + step) % count for phase in (found.ed, found.es) for step in (-1, 0, 1)}
