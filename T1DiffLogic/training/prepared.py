"""Prepared pairs as training data: a DATASET folder's slices, each seen in ever new views."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..dataset.pairs import PreparedPairs
from ..errors import StudyError
from .data import TrainingData, step_seed
from .method import Method
from .rendered import engine_inputs, flip_and_turn, plain_inputs

READ_AT_ONCE = 32


class PreparedData(TrainingData):
    """The training split of a DATASET folder, kept in the memory of the device (0.7 MB a slice).

    Every epoch is a new permutation of all slices; batches run on across epochs, so none is smaller.
    A batch is drawn and augmented whole in every process, which then takes its share: several processes
    learn from the same batches as one.
    """

    def __init__(self, folder: Path, batch_size: int, seed: int):
        super().__init__(batch_size, seed)
        # read once and kept by `setup`, so nothing is gained by its cache
        self._pairs = PreparedPairs(folder, "train", cache_mib=0)
        self.origin = str(self._pairs.description.get("origin", "own scans"))
        self.pixel_mm = float(self._pairs.description.get("pixel_mm", 1.4))
        self._slices: dict[str, Tensor] = {}

    def setup(self, stage: str) -> None:
        if not self._slices:
            self._slices = tensors(self._pairs, range(len(self._pairs)), self.device)

    def order(self, number: int) -> Tensor:
        """(batch_size,) indices of the slices in batch `number` of all processes."""
        count = len(self._pairs)
        positions = torch.arange(number * self.batch_size, (number + 1) * self.batch_size)
        permutations = {
            epoch: torch.randperm(count, generator=torch.Generator().manual_seed(step_seed(self.seed, epoch)))
            for epoch in (positions // count).unique().tolist()
        }
        return torch.stack([permutations[int(p) // count][int(p) % count] for p in positions])

    def batches(self) -> Iterator[dict]:
        own = slice(self.process * self.own_size, (self.process + 1) * self.own_size)
        number = self.progress.updates
        while True:
            generator, pick = self.generator(number), self.order(number).to(self.device)
            drawn = flip_and_turn({k: v[pick] for k, v in self._slices.items()}, generator)
            predicted = drawn.pop("soft_ed"), drawn.pop("soft_es")
            inputs = engine_inputs(drawn, generator, predicted)
            yield {name: value[own] for name, value in inputs.items()}
            number += 1


def check_phases(method: Method, pairs: PreparedPairs) -> None:
    """StudyError when a method cannot learn from, or be measured on, the cines of a DATASET folder."""
    count = int(pairs.description.get("cine_phases", method.cine_phases))
    if not method.takes_phases(count):
        raise StudyError(
            f"{pairs.folder} was prepared with {count} cine phases, and {method.name} takes "
            f"{method.cine_phases}; prepare it with --cine-phases {method.cine_phases}."
        )


def tensors(pairs: PreparedPairs, indices: Sequence[int], device: torch.device) -> dict[str, Tensor]:
    """The pairs at `indices` as training uses them; `t1_expected` is `t1` where it is not known."""
    wanted = ("cine", "labels_ed", "labels_es", "soft_ed", "soft_es", "t1", "labels_t1")
    parts = []
    for start in range(0, len(indices), READ_AT_ONCE):
        batch = pairs.batch(indices[start : start + READ_AT_ONCE])
        part = {name: batch[name].to(device) for name in wanted}
        parts.append(part | {"t1_expected": batch.get("t1_expected", batch["t1"]).to(device)})
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def evaluation_inputs(pairs: PreparedPairs, indices: Sequence[int], device="cpu") -> dict[str, Tensor]:
    """What `Method.predict_ms` gets of the pairs at `indices`: the segmenter's masks, nothing augmented."""
    return plain_inputs(tensors(pairs, indices, torch.device(device)))
