"""What stands behind T1Diff.py in 3D Slicer. Importing it makes T1DiffLogic importable, and costs nothing."""

from .paths import make_importable

make_importable()
