"""Which phases the engine sees: from ED, through systole, and one in mid-diastole, on a closed cycle."""

import numpy as np
import pytest

from T1DiffLogic.anatomy.phase_sampling import engine_phases
from T1DiffLogic.errors import StudyError


@pytest.mark.parametrize(
    "ed, es, count, n, expected",
    [
        (0, 9, 25, 5, [0, 3, 6, 9, 17]),
        (0, 9, 25, 1, [0]),
        (0, 9, 25, 2, [0, 9]),
        (0, 8, 20, 4, [0, 4, 8, 14]),
        # ED late in the file, ES early: the way from ED to ES runs over the end of the cycle
        (23, 7, 25, 5, [23, 1, 4, 7, 15]),
        (0, 1, 2, 5, [0, 0, 1, 1, 0]),
    ],
)
def test_phases(ed, es, count, n, expected):
    assert engine_phases(ed, es, count, n).tolist() == expected


def test_any_rotation_of_the_cycle_gives_the_same_phases():
    base = engine_phases(0, 11, 30, 6)
    for shift in range(30):
        turned = engine_phases(shift, (11 + shift) % 30, 30, 6)
        assert np.array_equal((turned - shift) % 30, base)


@pytest.mark.parametrize("ed, es", [(3, 3), (0, 25), (-1, 3)])
def test_refuses_phases_that_are_none(ed, es):
    with pytest.raises(StudyError):
        engine_phases(ed, es, 25, 5)
