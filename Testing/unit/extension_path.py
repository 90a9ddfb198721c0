"""Makes T1DiffLib importable in unit tests, as Slicer does by its module path."""

import sys
from pathlib import Path

EXTENSION = Path(__file__).parents[2] / "T1DiffExtension"

if str(EXTENSION) not in sys.path:
    sys.path.insert(0, str(EXTENSION))
