"""The conductor of a run: clock and budget, seeds, validation, log and the state to resume from."""

from __future__ import annotations

import os
import time
from pathlib import Path

import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from .averaging import Ema
from .budget import Budget
from .data import step_seed
from .learner import Learner
from .log import Log

STATE = "training_state.ckpt"
VALIDATIONS = 20
"""Validations in a whole budget, fewer where …"""

VALIDATION_COST = 0.05
"""… they would take more than this share of the time."""

SAVE_SECONDS = 300.0
"""The state to resume from is never older than this."""


class Conductor(Callback):
    """Gives every update its share of the budget and its randomness, and reports between updates.

    folder      log.csv and training_state.ckpt
    budget      of the whole run, over all sittings; sitting: what this process may take of it, or None
    validation  makes an object with measure(learner) -> {name: value}
    started     time.monotonic() at which this sitting began
    description at the end, what the learner says of the data that it saw
    progress    called with (stage, share, message)

    Only the first process reads the clock, validates and writes: processes whose clocks differ would
    take different learning rates and drift apart.
    """

    def __init__(
        self, folder: Path, budget: Budget, sitting: Budget | None, validation, ema: Ema, *,
        seed: int, started: float, log: Log, say, progress,
    ):  # fmt: skip
        self.folder, self.budget, self.sitting = Path(folder), budget, sitting
        self._make_validation, self.ema, self.seed = validation, ema, seed
        self.table, self.say, self.progress = log, say, progress
        self._started, self._saved = started, time.monotonic()
        self._earlier, self._first = 0.0, 0
        self.description: dict = {}
        self._due = self._save = False
        self._began = started
        self._next_share, self._next_time = 1 / VALIDATIONS, 0.0
        self._sums: dict[str, Tensor] = {}
        self._count = 0

    def on_train_start(self, trainer, learner: Learner) -> None:
        progress = learner.progress
        self._earlier, self._first = progress.seconds, progress.updates
        self._validation = self._make_validation() if trainer.is_global_zero else None
        self._next_share = (int(progress.share * VALIDATIONS + 1e-9) + 1) / VALIDATIONS

    def on_train_batch_start(self, trainer, learner: Learner, batch, index) -> None:
        progress = learner.progress
        clock = self._clock(progress)
        if trainer.world_size > 1:
            shared = torch.tensor(clock, dtype=torch.float64, device=learner.device)
            torch.distributed.broadcast(shared, 0)
            clock = shared.tolist()
        progress.seconds, due, save = clock
        self._due, self._save = due > 0, save > 0
        progress.share = self.budget.share(progress.seconds, progress.updates)
        torch.manual_seed(step_seed(self.seed, progress.updates, trainer.global_rank))
        self._began = time.monotonic()

    def _clock(self, progress) -> list[float]:
        """Seconds of the run; 1 where the update that begins is to be followed by a validation, by a save."""
        seconds = self._seconds()
        share = self.budget.share(seconds, progress.updates + 1)
        due = share >= self._next_share and seconds >= self._next_time
        return [seconds, float(due), float(due or time.monotonic() - self._saved > SAVE_SECONDS)]

    def _seconds(self) -> float:
        """Wall clock of the run, earlier sittings included."""
        return self._earlier + time.monotonic() - self._started

    def on_train_batch_end(self, trainer, learner: Learner, outputs, batch, index) -> None:
        progress = learner.progress
        progress.learning += time.monotonic() - self._began
        self._count += 1
        for name, loss in learner.losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + loss
        spent = self.budget.share(progress.seconds, progress.updates)
        finished = spent >= 1
        if self.sitting is not None:
            sat = progress.seconds - self._earlier, progress.updates - self._first
            finished |= self.sitting.share(*sat) >= 1
        if trainer.is_global_zero:
            self.progress("train", spent, f"{progress.stage} {progress.updates}")
        if self._due or finished:
            self._report(trainer, learner)
        if self._save or finished:
            self._write_state(trainer)
        trainer.should_stop |= finished

    def on_train_end(self, trainer, learner: Learner) -> None:
        if trainer.is_global_zero:
            with self.ema.applied(learner):
                learner.calibrate(self._validation)
            self.description = learner.describe(trainer.datamodule.batches())

    def _report(self, trainer, learner: Learner) -> None:
        losses = {}
        for name, total in self._sums.items():
            mean = trainer.strategy.reduce(total / self._count, reduce_op="mean")
            losses["loss" if len(self._sums) == 1 else f"loss_{name}"] = float(mean)
        self._sums, self._count = {}, 0
        progress = learner.progress
        begun = time.monotonic()
        if trainer.is_global_zero:
            with self.ema.applied(learner):
                measured = self._validation.measure(learner)
            row = {
                "minutes": round(self._seconds() / 60, 3),
                "learning_minutes": round(progress.learning / 60, 3),
                "step": progress.updates,
                "stage": progress.stage,
                **losses,
                "skipped": progress.skipped,
                **measured,
            }
            self.say(self.table.add(row))
            for logger in trainer.loggers:
                numbers = {k: v for k, v in row.items() if not isinstance(v, str)}
                logger.log_metrics(numbers, step=progress.updates)
        took = time.monotonic() - begun
        self._next_time = self._seconds() + took / VALIDATION_COST
        while self._next_share <= progress.share:
            self._next_share += 1 / VALIDATIONS

    def _write_state(self, trainer) -> None:
        """Write what a later sitting needs, atomically."""
        temporary = self.folder / (STATE + ".part")
        trainer.save_checkpoint(temporary)
        if trainer.is_global_zero:
            os.replace(temporary, self.folder / STATE)
        self._saved = time.monotonic()
