"""The native T1 map of an examination: the scanner's own, or one fitted to its raw inversion images."""

from __future__ import annotations

from ..dicom.molli import find_inversion_series, fit_series, load_inversion_series
from ..dicom.t1map import read_t1_map
from ..errors import StudyError
from ..study import T1Map


def load_native(study, device: str = "cpu") -> T1Map:
    """The native map in the DICOM files of `study` (whatever dicom.files.find_images takes).

    The scanner's map is taken where there is one, so that a cohort's T1 stays what its readers know; raw
    MOLLI or ShMOLLI images are fitted where there is none. Raises StudyError when there is neither, or what
    there is cannot be used.
    """
    try:
        return read_t1_map(study)
    except StudyError as no_map:
        try:
            series = find_inversion_series(study)
        except StudyError:
            raise no_map from None
    native = [s for s in series if not s.post_contrast]
    if not native:
        raise StudyError(
            "the inversion images were acquired after contrast agent (0018,0010), so their T1 is not native; "
            "add the series from before it."
        )
    return fit_series(load_inversion_series(native[0]), device)[0]
