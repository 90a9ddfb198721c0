"""THE SPINE: one study, Cine -> Synthesis."""

from __future__ import annotations

import numpy as np

from .anatomy.aha import aha_labels
from .anatomy.alignment import align_t1
from .anatomy.quality import with_intensities
from .anatomy.roi import Roi
from .model import LoadedModel
from .options import SynthesisOptions
from .progress import Progress, Stopwatch, silent, within
from .sampling import draw_samples, engine_inputs, restored
from .segmentation import check_reviewed, load_segmenter, segment
from .study import Cine, SliceReport, Synthesis, T1Map


def synthesize(
    cine: Cine,
    options: SynthesisOptions | None = None,
    native: T1Map | None = None,
    progress: Progress | None = None,
    watch: Stopwatch | None = None,
) -> Synthesis:
    """The synthetic T1 map of a cine, in the cine's own geometry.

    native    the patient's native T1 map, brought onto the cine to compare with; nothing of it enters
              the synthesis
    progress  progress(stage, fraction, message) with the stages model, segment, align, synthesize;
              raise errors.Cancelled from it to stop
    watch     gets the seconds of each stage

    Slices that should not be judged are flagged and have no value. Raises StudyError when no LV is
    found or it does not move, when reviewed phases or labels do not fit the cine, or when the model
    cannot be loaded.
    """
    options, progress, watch = options or SynthesisOptions(), progress or silent, watch or Stopwatch()
    check_reviewed(options, cine)
    with watch("model"):
        progress("model", 0.0)
        model = LoadedModel.load(options)
        steps, samples = model.steps(options), model.samples(options)
        segmenter = load_segmenter(model.device)
        progress("model", 1.0)
    with watch("segment"):
        anatomy = segment(cine, options, progress, segmenter)
    masks = anatomy.segmentation
    aligned, native_notes, native_aha = None, (), None
    if native is not None:
        with watch("align"):
            progress("align", 0.0)
            native_labels = segmenter.segment_t1(native).argmax(axis=1).astype(np.uint8)
            aligned = align_t1(native, cine, native_labels, masks.labels_ed)
            native_notes = (*native.notes, *aligned.notes)
            # a map is read under its own contours: a slice that the breath-hold moved above the base,
            # or an edge that is blood in this scan, is not its myocardium whatever the cine shows
            native_aha = aha_labels(aligned.labels, masks.rv_insertions, anatomy.levels, cine.geometries)
            progress("align", 1.0)
    with watch("synthesize"):
        roi = Roi.around(masks.labels_ed, cine.geometries, model.network.config.size, model.pixel_mm)
        inputs = engine_inputs(cine, anatomy.phases, masks, roi, model.network.config.cine_phases)
        flags, judged = with_intensities(anatomy.flags, model.far_from_training(inputs))
        slices = np.flatnonzero(judged)
        maps, sd = draw_samples(
            model.network,
            inputs,
            slices,
            samples,
            options.seed,
            steps,
            within(progress, "synthesize"),
            options.maps_at_once,
        )
        if sd is not None:  # goes the maps' way
            maps = np.concatenate([maps, sd[:, None]], axis=1)
        restored_ms, valid = restored(maps, slices, roi, inputs, masks)
        samples_ms = restored_ms[:samples]
    return Synthesis(
        cine=cine,
        phases=anatomy.phases,
        segmentation=masks,
        slices=tuple(
            SliceReport(s, level, bool(judged[s]), flags[s], anatomy.quality[s])
            for s, level in enumerate(anatomy.levels)
        ),
        t1_ms=samples_ms.mean(axis=0),
        sd_ms=_of_samples(samples_ms) if sd is None else restored_ms[samples],
        valid=valid,
        samples_ms=samples_ms,
        aha=aha_labels(masks.labels_ed, masks.rv_insertions, anatomy.levels, cine.geometries),
        provenance={
            **model.provenance(options),
            "segmenter": segmenter.provenance,
            "notes": [*cine.source.notes, *anatomy.notes, *native_notes],
            "ignored": list(cine.source.ignored),
        },
        native_ms=None if aligned is None else aligned.native_ms,
        native_aha=native_aha,
    )


def _of_samples(samples_ms: np.ndarray) -> np.ndarray:
    """(S, R, C) SD of K samples; one says nothing of its spread: SD 0, as provenance's `samples` tells."""
    return samples_ms.std(axis=0, ddof=1) if len(samples_ms) > 1 else np.zeros_like(samples_ms[0])
