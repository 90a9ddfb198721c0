"""Lets the scene tests import the builders that lie beside them and beside the unit tests."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "unit")]
