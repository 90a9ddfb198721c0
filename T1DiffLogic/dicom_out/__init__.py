"""A result as DICOM objects that an archive (PACS) can file beside the cine they were made from.

Importing this room raises StudyError with the remedy when highdicom or pydicom 3 is missing: T1Diff reads
DICOM without them, as inside 3D Slicer.
"""

from __future__ import annotations

import pydicom

from ..errors import StudyError

_REMEDY = 'install highdicom, which brings pydicom 3: pip install "highdicom>=0.28"'

if int(pydicom.__version_info__[0]) < 3:
    raise StudyError(f"pydicom {pydicom.__version__} cannot write them; {_REMEDY}.")
try:
    import highdicom
except ImportError as error:
    raise StudyError(f"the Python package highdicom is missing; {_REMEDY}.") from error
# 3D Slicer's QuantitativeReporting installs 0.22
if tuple(int(part) for part in highdicom.__version__.split(".")[:2]) < (0, 28):
    raise StudyError(f"highdicom {highdicom.__version__} is too old; {_REMEDY}.")
