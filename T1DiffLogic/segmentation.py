"""The first half of the way of one study: where the heart is, when it is full and when empty.

GF-UNet on every phase -> ED and ES -> soft masks of both -> RV insertion points, levels, function.
What a person has reviewed (phases, labels, insertion points) stands in the place of what was found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from .anatomy.breath_hold import breath_hold_flags
from .anatomy.function import ventricular_function
from .anatomy.gating import gating_flags
from .anatomy.insertions import rv_insertions
from .anatomy.levels import slice_levels
from .anatomy.phases import cavity_area, find_phases
from .anatomy.quality import LEFT_OUT, field_strength_flags, joined, score_flags, slice_flags
from .anatomy.score import slice_scores
from .anatomy.segmenter import Segmenter
from .devices import chosen_device
from .errors import StudyError
from .options import SynthesisOptions
from .progress import Progress, within
from .resources import installed_segmenter
from .study import LV_CAVITY, CardiacPhases, Cine, LVSegmentation

CLASSES = 4


@dataclass(frozen=True, eq=False)
class StudyAnatomy:
    """What is known of one study's anatomy.

    segmentation  soft masks at ED and ES, reviewed ones in place, and RV insertion points
    labels        (S, P, R, C) uint8 labels of every phase, reviewed ones in place
    cavity_mm2    (S, P) LV cavity area
    levels        S of 'basal', 'mid', 'apical', None outside the LV
    flags         S tuples of sentences; `judged` (S,) bool, False where a map must not be painted
    function      edv_ml, esv_ml, ef_percent, mass_g
    quality       S scores of the contours, 0 to 1, None without an LV (`anatomy.score`)
    notes         sentences on what a person put in place of the network's findings, and on the scale
    """

    phases: CardiacPhases
    segmentation: LVSegmentation
    labels: np.ndarray
    cavity_mm2: np.ndarray
    levels: tuple[str | None, ...]
    flags: tuple[tuple[str, ...], ...]
    judged: np.ndarray
    function: dict
    quality: tuple[float | None, ...]
    notes: tuple[str, ...] = ()


def segment(
    cine: Cine,
    options: SynthesisOptions | None = None,
    progress: Progress | None = None,
    segmenter: Segmenter | None = None,
) -> StudyAnatomy:
    """The anatomy of `cine`.

    segmenter  None loads the installed one

    Raises StudyError when no LV is found, it does not move, or reviewed input does not fit the cine.
    """
    options = options or SynthesisOptions()
    check_reviewed(options, cine)
    if segmenter is None:
        segmenter = load_segmenter(chosen_device(options.device))
    return study_anatomy(cine, segmenter.segment_cine(cine, within(progress, "segment")), options)


def study_anatomy(
    cine: Cine, probabilities: np.ndarray, options: SynthesisOptions | None = None
) -> StudyAnatomy:
    """The anatomy that `probabilities` (S, P, 4, R, C) and what a person reviewed make of `cine`.

    Raises StudyError when no LV is found or it does not move.
    """
    options = options or SynthesisOptions()
    spacing = np.array([g.spacing for g in cine.geometries])
    cavity_mm2 = cavity_area(probabilities[:, :, LV_CAVITY], spacing)
    phases = find_phases(cavity_mm2, spacing, cine.trigger_ms, ed=options.ed, es=options.es)
    labels = probabilities.argmax(axis=2).astype(np.uint8)
    masks, notes = [], []
    for phase, given in ((phases.ed, options.labels_ed), (phases.es, options.labels_es)):
        if given is None:
            masks.append(probabilities[:, phase].astype(np.float32))
        else:
            masks.append(hard_masks(given))
            labels[:, phase] = given
            notes.append(f"Labels of phase {phase} are reviewed, not the network's.")
    labels_ed, labels_es = labels[:, phases.ed], labels[:, phases.es]
    if options.rv_insertions is None:
        insertions = rv_insertions(labels_ed, cine.geometries)
    else:
        insertions = options.rv_insertions
        notes.append("RV insertion points are reviewed, not found.")
    if phases.given:
        notes.append("ED or ES was given, not found.")
    levels = slice_levels(labels_ed, cine.geometries)
    segmentation = LVSegmentation(*masks, insertions)
    quality = slice_scores(segmentation, cine.geometries)
    images_ed = cine.images[:, phases.ed]
    flags, judged = slice_flags(
        labels_ed, labels_es, cine.geometries, levels, insertions, cavity_mm2, images_ed
    )
    whole_cycle = [level is not None and LEFT_OUT.isdisjoint(own) for level, own in zip(levels, flags)]
    of_field, field_notes = field_strength_flags(cine.source.field_strength_t)
    flags = joined(
        flags,
        gating_flags(cavity_mm2, cine.trigger_ms, whole_cycle),
        breath_hold_flags(labels_ed, labels_es, cine.geometries, levels),
        score_flags(quality, flags),
        (of_field,) * cine.n_slices,
    )
    return StudyAnatomy(
        phases=phases,
        segmentation=segmentation,
        labels=labels,
        cavity_mm2=cavity_mm2,
        levels=levels,
        flags=flags,
        judged=judged,
        function=ventricular_function(labels_ed, labels_es, cine.geometries),
        quality=quality,
        notes=(*notes, *field_notes),
    )


def load_segmenter(device: torch.device) -> Segmenter:
    """The installed GF-UNet on `device`. StudyError when this installation has none."""
    return Segmenter.load(installed_segmenter(), device)


def hard_masks(labels: np.ndarray) -> np.ndarray:
    """(S, R, C) labels -> (S, 4, R, C) float32 masks of 0 and 1.

    They enter the engine as they are: it was trained on soft and on hard masks alike, and cutting the
    region of interest blurs their edges by the cine's own pixel.
    """
    return np.stack([np.asarray(labels) == value for value in range(CLASSES)], axis=1).astype(np.float32)


def check_reviewed(options: SynthesisOptions, cine: Cine) -> None:
    """StudyError when what a person gave does not fit the cine, before any long work is done."""
    for name, phase in (("--ed", options.ed), ("--es", options.es)):
        if phase is not None and phase >= cine.n_phases:
            raise StudyError(f"{name} {phase}: the cine's phases are 0…{cine.n_phases - 1}.")
    grid = (cine.n_slices, *cine.images.shape[2:])
    for name, labels in (("--labels-ed", options.labels_ed), ("--labels-es", options.labels_es)):
        if labels is None:
            continue
        if np.shape(labels) != grid:
            raise StudyError(f"{name}: shape {np.shape(labels)} is not that of the cine, {grid}.")
        if not np.isin(labels, range(CLASSES)).all():
            raise StudyError(f"{name}: labels must be 0 to 3 (1 RV, 2 LV myocardium, 3 LV cavity).")
        if not (np.asarray(labels) == LV_CAVITY).any():
            raise StudyError(f"{name}: no pixel is labelled 3, LV cavity; draw it, or leave the option out.")
    points = options.rv_insertions
    if points is not None and np.shape(points) != (cine.n_slices, 2, 2):
        raise StudyError(f"--rv-insertions: shape {np.shape(points)} is not ({cine.n_slices}, 2, 2).")
