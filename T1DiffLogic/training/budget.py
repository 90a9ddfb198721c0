"""How much a run may learn, and how far it has come: budgets, stages, the learning-rate schedule."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import StudyError

WARM_UP = 200
"""Updates over which the learning rate rises at its beginning, but for …"""

WARM_UP_SHARE = 0.05
"""… few updates, in which it has risen after this share."""


@dataclass(frozen=True)
class Budget:
    """Wall-clock minutes of training, or updates; exactly one of them, StudyError otherwise."""

    minutes: float | None = None
    updates: int | None = None

    def __post_init__(self):
        if (self.minutes is None) == (self.updates is None):
            raise StudyError("a training run has a budget of minutes or of updates; give one of the two.")
        if (self.updates if self.minutes is None else self.minutes) <= 0:
            raise StudyError("the budget of a training run must be above 0.")

    def share(self, seconds: float, updates: int) -> float:
        """0…1: how much of it is spent."""
        spent = updates / self.updates if self.updates else seconds / (60 * self.minutes)
        return min(spent, 1.0)


@dataclass
class Progress:
    """How far a run has come; what it holds goes into the state that is resumed from.

    seconds        wall clock of training, validation and rendering included, earlier sittings too
    learning       seconds in updates alone
    updates        of the weights; an update of a GAN is one of its generator and its discriminator
    stage, stage_updates, stage_share   the present stage, updates in it, 0…1 of its share of the budget
    skipped        updates whose gradient was not finite and was not applied
    next_seed      the next digital heart of the rendered stream
    """

    seconds: float = 0.0
    learning: float = 0.0
    updates: int = 0
    share: float = 0.0
    stage: str = ""
    stage_updates: int = 0
    stage_share: float = 0.0
    skipped: int = 0
    next_seed: int = 0

    def enter(self, stages: tuple[tuple[str, float], ...]) -> None:
        """Set the stage that `share` falls in; a stage that was left never comes back."""
        name, self.stage_share = stage_of(stages, self.share, self.stage)
        if name != self.stage:
            self.stage, self.stage_updates = name, 0


def stage_of(stages: tuple[tuple[str, float], ...], share: float, present: str = "") -> tuple[str, float]:
    """(name of the stage, share of it done) at a share of the whole budget.

    stages   (name, its share of the budget) in order
    present  the stage that the run is in; it never goes back, as a longer budget would have it
    """
    names = [name for name, _ in stages]
    earliest = names.index(present) if present in names else 0
    start = 0.0
    for i, (name, length) in enumerate(stages):
        if i >= earliest and (share < start + length or i == len(stages) - 1):
            return name, min(max((share - start) / length, 0.0), 1.0)
        start += length
    raise ValueError("a run has at least one stage")


def warm_up_and_cosine(share: float, updates: int) -> float:
    """Factor of the peak learning rate: a linear rise (see WARM_UP), a cosine to 2 % over the stage."""
    rise = min(max(updates / WARM_UP, share / WARM_UP_SHARE), 1.0)
    return rise * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))
