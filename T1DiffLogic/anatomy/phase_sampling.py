"""Which cine phases the modality encoder sees, whatever the number of phases in the cine."""

from __future__ import annotations

import numpy as np

from ..errors import StudyError


def engine_phases(ed: int, es: int, count: int, n: int) -> np.ndarray:
    """(n,) int64 phase indices of a cine of `count` phases, starting with ED.

    The first n − 1 are spread evenly over systole, ED and ES included; the last lies halfway from
    ES to the next ED, in mid-diastole, where a stunned wall still lags. n = 1 is ED alone and n = 2
    is ED and ES. The cycle is taken as closed, so ES may come before ED in the file. Phases are
    taken as they are, not interpolated between: a mean of two frames is blurred where the wall moves.

    Raises StudyError when ED and ES are the same phase or outside the cine.
    """
    fractions = phase_fractions(n)
    if not (0 <= ed < count and 0 <= es < count) or ed == es:
        raise StudyError(f"ED {ed} and ES {es} are not two phases of a cine with {count}.")
    systole = (es - ed) % count
    # a fraction of 0…1 runs through systole, 1…2 through diastole
    steps = np.where(fractions <= 1, fractions * systole, systole + (fractions - 1) * (count - systole))
    return (ed + np.floor(steps + 0.5).astype(np.int64)) % count


def phase_fractions(n: int) -> np.ndarray:
    """(n,) float64 in units of the cycle's two parts: 0 ED, 1 ES, 1.5 halfway from ES to the next ED."""
    if n < 1:
        raise StudyError(f"the model asks for {n} cine phases; its config.json is damaged.")
    if n <= 2:
        return np.arange(n, dtype=np.float64)
    return np.append(np.linspace(0.0, 1.0, n - 1), 1.5)
