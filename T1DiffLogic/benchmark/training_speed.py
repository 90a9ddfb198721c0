"""Training images a second: real updates of a real learner under Lightning, as `t1diff train` makes them."""

from __future__ import annotations

import logging
import time
import warnings

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback

from ..engine.precision import has_fast_bfloat16, inference_precision
from ..training.averaging import Ema
from ..training.learner import Learner
from .arithmetic import operations
from .hearts import Hearts, HeldHearts
from .timing import Timing, summary, wait_for

WARM_UP = 3
TOGETHER = {"cpu": 1, "cuda": 10}
"""Updates between two looks at the clock: waiting for a GPU after each one would slow it."""


class UpdateClock(Callback):
    """Seconds of an update, from the end of one to the end of the next: views and noise of the batch, losses,
    gradients, optimiser, average of the weights. Stops the training after about `spend` seconds."""

    def __init__(self, device: torch.device, spend: float):
        self._device, self._spend = device, spend
        self._together = TOGETHER[device.type]
        self._begun: float | None = None
        self.seconds: list[float] = []

    def on_train_batch_end(self, trainer, learner: Learner, outputs, batch, index) -> None:
        beyond = index + 1 - WARM_UP
        if beyond < 0 or beyond % self._together:
            return
        wait_for(self._device)
        now = time.perf_counter()
        if self._begun is not None:
            self.seconds.append((now - self._begun) / self._together)
        self._begun = now
        spent = sum(self.seconds) * self._together
        trainer.should_stop = len(self.seconds) >= 3 and spent >= self._spend


def update_time(
    learner: Learner, stage: str, hearts: Hearts, batch_size: int, device: torch.device,
    spend: float = 2.0, compiled: bool = False,
) -> tuple[Timing, int]:  # fmt: skip
    """(Timing of one update in a stage of the learner, operations of its losses and gradients)."""
    before = 0.0
    for name, share in learner.stages:
        if name == stage:
            break
        before += share
    # past the border by less than any budget's first update
    learner.progress.share = before + 1e-6
    learner.progress.enter(learner.stages)
    learner.network.to(device, memory_format=torch.channels_last)
    counted = _operations(learner, hearts.training_inputs(batch_size), device)
    if compiled:
        learner.compile_steps()
    clock = UpdateClock(device, spend)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    trainer = Trainer(
        accelerator=device.type,
        devices=1,
        precision="bf16-mixed" if has_fast_bfloat16(device) else "32-true",
        max_epochs=-1,
        callbacks=[Ema(learner), clock],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # hints on loaders of files, which there are none of here
        trainer.fit(learner, datamodule=HeldHearts(hearts, batch_size))
    return summary(clock.seconds), counted


def _operations(learner: Learner, inputs: dict, device: torch.device) -> int:
    def losses_and_gradients():
        with inference_precision(device):
            for _, loss in learner.training_losses(inputs):
                loss.backward()

    counted = operations(losses_and_gradients)
    learner.zero_grad(set_to_none=True)
    return counted
