"""What the networks are timed on: rendered digital hearts, as in training and as in use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import torch
import torch.nn.functional as F

from ..phantom.draws import SEEDS
from ..sampling import EngineInputs
from ..training.data import TrainingData
from ..training.rendered import engine_batch, engine_inputs, flip_and_turn, plain_inputs

HEARTS = 4
"""Rendered hearts; a larger batch repeats them, which costs a network the same."""


@dataclass(frozen=True)
class Hearts:
    """A rendered batch (training/rendered.py), repeated to as many slices as are asked for."""

    rendered: dict[str, torch.Tensor]

    @classmethod
    def of(cls, phases: int, device: torch.device) -> Hearts:
        """Digital hearts of the validation range with `phases` cine frames each."""
        seeds = list(SEEDS["validation"][:HEARTS])
        return cls(engine_batch(seeds, wide=False, phases=phases, device=device))

    def slices(self, number: int) -> dict[str, torch.Tensor]:
        present = len(self.rendered["cine"])
        pick = torch.arange(number, device=self.rendered["cine"].device) % present
        return {name: value[pick] for name, value in self.rendered.items()}

    def inputs(self, number: int) -> EngineInputs:
        """As in use: on the CPU, normalised, with masks in place of the segmenter's."""
        batch = {name: value.cpu() for name, value in self.slices(number).items()}
        for phase in ("ed", "es"):
            hot = F.one_hot(batch[f"labels_{phase}"].long(), 4)
            batch[f"soft_{phase}"] = hot.permute(0, 3, 1, 2).float()
        found = plain_inputs(batch)
        return EngineInputs(found["cine"], found["soft_ed"], found["soft_es"])

    def training_inputs(self, number: int, seed: int = 0) -> dict[str, torch.Tensor]:
        """As in training: in a view of their own, with softened masks, noise and shading, on the device."""
        generator = torch.Generator(self.rendered["cine"].device).manual_seed(seed)
        return engine_inputs(flip_and_turn(self.slices(number), generator), generator)


class HeldHearts(TrainingData):
    """The rendered stream without its rendering: every batch is made of the same hearts in a new view,
    with the masks, noise and shading that training draws anew."""

    origin = "digital phantoms only"

    def __init__(self, hearts: Hearts, batch_size: int, seed: int = 0):
        super().__init__(batch_size, seed)
        self._hearts = hearts

    def batches(self) -> Iterator[dict]:
        for seed in count(self.seed):
            yield self._hearts.training_inputs(self.batch_size, seed)
