"""One training run: learner, data and validation under Lightning's trainer, and the model folder."""

from __future__ import annotations

import dataclasses
import logging
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy

from ..engine.precision import has_fast_bfloat16
from ..errors import StudyError
from ..progress import silent
from .averaging import Ema
from .budget import Budget, Progress
from .conduct import STATE, Conductor
from .data import TrainingData
from .learner import Learner
from .log import Log


@dataclass(frozen=True)
class RunOptions:
    """How a run is done; none of it says what is learned.

    budget      of the whole run
    sitting     what this process may take of it, the rest being left to `resume`; None takes all
    devices     processes that share every batch, one for each GPU or CPU share
    compiled    torch.compile the steps: faster after minutes of compiling, needs a C++ compiler
    """

    budget: Budget
    sitting: Budget | None = None
    seed: int = 0
    device: str = "cpu"
    devices: int = 1
    resume: bool = False
    compiled: bool = False
    tensorboard: bool = False


def train(
    learner: Learner,
    data: TrainingData,
    validation: Callable[[], object],
    out: Path,
    options: RunOptions,
    metadata: dict | None = None,
    say=print,
    progress=silent,
) -> None:
    """Train `learner` until the budget or the sitting is spent and write `out`: a model folder with the
    averaged weights, log.csv and training_state.ckpt, from which `resume` goes on to the same result.

    validation  makes an object with measure(learner) -> {name: value}, in the first process alone
    metadata    what the model folder says beside what every training says

    Raises StudyError when there is nothing to resume, or something else.
    """
    started = time.monotonic()
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    state = _state_of(out, learner) if options.resume else None
    _quieten()
    learner.network.to(memory_format=torch.channels_last)
    ema = Ema(learner)
    if options.compiled:
        learner.compile_steps()
    trainer = Trainer(
        accelerator="cuda" if options.device == "cuda" else "cpu",
        devices=options.devices,
        strategy=DDPStrategy(find_unused_parameters=learner.partial) if options.devices > 1 else "auto",
        precision="bf16-mixed" if has_fast_bfloat16(torch.device(options.device)) else "32-true",
        max_epochs=-1,
        callbacks=[ema],
        logger=TensorBoardLogger(out, name="tensorboard", version="") if options.tensorboard else False,
        default_root_dir=out,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )
    log = Log(out, fresh=state is None and trainer.is_global_zero)
    conductor = Conductor(
        out, options.budget, options.sitting, validation, ema,
        seed=options.seed, started=started, log=log, say=say, progress=progress,
    )  # fmt: skip
    trainer.callbacks.append(conductor)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the same kind as the hints
            trainer.fit(learner, datamodule=data, ckpt_path=state, weights_only=True)
    except SystemExit as stopped:  # what Lightning makes of Ctrl-C
        raise KeyboardInterrupt from stopped
    if trainer.is_global_zero:
        with ema.applied(learner):
            described = _metadata(learner.progress, data, options) | conductor.description
            learner.save(out, described | (metadata or {}))


def _metadata(progress: Progress, data: TrainingData, options: RunOptions) -> dict:
    return {
        "trained_on": data.origin,
        "minutes": round(progress.seconds / 60, 1),
        "steps": progress.updates,
        "batch_size": data.batch_size,
        "seed": options.seed,
        "budget": {k: v for k, v in dataclasses.asdict(options.budget).items() if v is not None},
    }


def _state_of(out: Path, learner: Learner) -> Path:
    """The file to resume from. StudyError when there is none, or another network's."""
    path = out / STATE
    if not path.is_file():
        raise StudyError(f"{out} holds no {STATE} to resume; leave out --resume to begin anew.")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        name, shapes = found["learner"], {k: v.shape for k, v in found["state_dict"].items()}
    except Exception as error:
        raise StudyError(f"{path} is damaged; begin anew without --resume.") from error
    if name != learner.name or shapes != {k: v.shape for k, v in learner.state_dict().items()}:
        raise StudyError(
            f"{path} is of another network ({name}); resume with the method and size that began it."
        )
    return path


def _quieten() -> None:
    """Lightning logs hints on its own options and on loaders of files, which there are none of here."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
