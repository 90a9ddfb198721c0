"""All DICOM objects of one result, into dicom/."""

from __future__ import annotations

import logging
import shutil
import warnings
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from ..errors import StudyError
from ..sentences import sentence_of
from ..study import Synthesis
from .capture import overlay_capture
from .edition import Edition
from .maps import parametric_map, t1_images
from .measurements import measurement_report
from .segmentations import aha_segmentation, lv_segmentation
from .source import read_source


def write_dicom(
    synthesis: Synthesis,
    segments: list[dict],
    overlay: Path,
    folder: Path,
    made_at: datetime | None = None,
) -> tuple[dict[str, str], list[str]]:
    """Write dicom/ below `folder`; returns the files by role and sentences for the notes.

    segments  statistics.segment_table as result.json holds it
    overlay   overlay.png
    made_at   the time that the objects carry, now by default; with the same time, the same bytes

    Nothing is written, and StudyError says why, when the cine does not come from DICOM files, when these
    cannot be found again, or when they are not fit to be built upon. OSError when the disk refuses.
    """
    source = read_source(synthesis.cine, synthesis.phases.ed)
    edition = Edition(synthesis, source, segments, made_at or datetime.now())
    place = folder / "dicom"
    place.mkdir()
    try:
        with _unheard():
            objects, notes = _objects(edition, overlay)
            files = {f"dicom_{name}": edition.save(item, place, name) for name, item in objects.items()}
    except OSError:
        raise
    except Exception as error:  # the headers of any scanner and any archive went into these objects
        shutil.rmtree(place)
        raise StudyError(f"the headers of the cine cannot be built upon: {sentence_of(error)}") from error
    return files, [*source.notes, *notes]


@contextmanager
def _unheard():
    """Keeps the warnings of pydicom and highdicom off the screen: they quote the patient's name."""
    loggers = [logging.getLogger(name) for name in ("highdicom", "pydicom")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.setLevel(logging.CRITICAL)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _objects(edition: Edition, overlay: Path) -> tuple[dict, list[str]]:
    """The objects by file name."""
    synthesis, notes = edition.synthesis, []
    result = {
        "t1_map": parametric_map(synthesis.t1_ms, "t1_map", edition),
        "t1_sd": parametric_map(synthesis.sd_ms, "t1_sd", edition),
    }
    result |= {f"t1_image_{index:02d}": image for index, image in enumerate(t1_images(edition))}
    result["segmentation"] = lv_segmentation(edition)
    if any(row["n"] for row in edition.segments):
        result["aha_segments"] = aha_segmentation(edition)
        result["measurements"] = measurement_report(edition, result["aha_segments"], result["t1_map"])
    else:
        notes.append("No AHA segment could be measured, so dicom/ holds no report of measurements.")
    result["overlay"] = overlay_capture(overlay, edition)
    return result, notes
