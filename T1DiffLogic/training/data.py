"""What all training data have in common: endless batches, each a function of seed and number."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from lightning.pytorch import LightningDataModule

from ..errors import StudyError
from .budget import Progress


class TrainingData(LightningDataModule):
    """Endless batches for a Learner. A subclass gives `batches`.

    batch_size  of all processes together
    seed        of the run
    origin      what a model that learned from these is said to be trained on

    Lightning asks for a batch ahead of the update that uses it, and an interrupted run begins again at
    the update that was saved. So no state of a generator is kept: randomness is that of `generator(n)`.
    """

    origin = ""

    def __init__(self, batch_size: int, seed: int):
        super().__init__()
        self.batch_size, self.seed = batch_size, seed

    def batches(self) -> Iterator[dict]:
        """This process's batches, from the one of update `self.progress.updates` on, without end."""
        raise NotImplementedError

    def generator(self, number: int, process: int = 0) -> torch.Generator:
        """The randomness of batch `number`, on the device of training."""
        return torch.Generator(self.device).manual_seed(step_seed(self.seed, number, process))

    @property
    def progress(self) -> Progress:
        return self.trainer.lightning_module.progress

    @property
    def device(self) -> torch.device:
        return self.trainer.strategy.root_device

    @property
    def processes(self) -> int:
        return self.trainer.world_size

    @property
    def process(self) -> int:
        return self.trainer.global_rank

    @property
    def own_size(self) -> int:
        """Slices in a batch of one process. StudyError when the batch cannot be shared out evenly."""
        if self.batch_size % self.processes:
            raise StudyError(
                f"a batch of {self.batch_size} cannot be shared by {self.processes} devices; "
                "give a --batch-size that is a multiple of --devices."
            )
        return self.batch_size // self.processes

    def train_dataloader(self) -> Iterator[dict]:
        return _Batches(self)


class _Batches:
    """Iterable again and again, as Lightning wants, each time from the present update on."""

    def __init__(self, data: TrainingData):
        self._data = data

    def __iter__(self) -> Iterator[dict]:
        return self._data.batches()


def step_seed(seed: int, number: int, process: int = 0) -> int:
    """Seed of the randomness of one update, distinct for each run's seed, update and process."""
    return ((seed * 1_000_003 + number) * 1024 + process) % 2**62
