"""One training run with a time budget: warm-up and cosine by elapsed time, EMA, resumable state, CSV log."""

from __future__ import annotations

import csv
import math
import time
from pathlib import Path

import torch
from torch import nn

from ..errors import StudyError

STATE, LOG = "training_state.pt", "log.csv"


class Ema:
    """Exponential moving average of a model's parameters, warmed up (Karras et al. 2022)."""

    def __init__(self, model: nn.Module, decay: float = 0.999):
        self.decay, self.steps = decay, 0
        self.shadow = {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                self.shadow[name].lerp_(value.detach(), 1 - decay)
            else:
                self.shadow[name].copy_(value)

    def into(self, model: nn.Module) -> None:
        model.load_state_dict(self.shadow)


class Run:
    """The optimiser's side of a run: call `step(loss)` until `finished`.

    folder       holds training_state.pt (to resume), log.csv
    max_minutes  budget of training time, earlier sittings counted in
    The learning rate warms up over 200 updates of a stage and follows a cosine to 2 % over the share
    of the budget used, or of the stage that the caller is in.

    Raises StudyError when `resume` finds nothing to resume.
    """

    def __init__(self, model: nn.Module, folder: Path, max_minutes: float, lr: float, resume: bool):
        self.model, self.folder, self.lr = model, Path(folder), lr
        self.folder.mkdir(parents=True, exist_ok=True)
        decay = [p for p in model.parameters() if p.ndim > 1]
        plain = [p for p in model.parameters() if p.ndim <= 1]
        groups = [{"params": decay, "weight_decay": 1e-4}, {"params": plain, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.99))
        self.ema = Ema(model)
        self.steps, self.next_seed, self._earlier = 0, 0, 0.0
        self.stage, self.stage_steps = "", 0
        self.budget = max_minutes * 60
        if resume:
            if not (self.folder / STATE).is_file():
                raise StudyError(
                    f"{self.folder} holds no {STATE} to resume; leave out --resume to begin anew."
                )
            self._restore()
        else:
            (self.folder / LOG).unlink(missing_ok=True)  # the log of another run
        self._start = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds of training so far, earlier sittings included."""
        return self._earlier + time.monotonic() - self._start

    @property
    def finished(self) -> bool:
        return self.elapsed >= self.budget

    def step(self, loss: torch.Tensor, share: float | None = None) -> float:
        """One update; returns the gradient norm. A non-finite loss is skipped, never applied.

        share  0…1 of the learning-rate schedule; None is that of the whole budget
        """
        share = min(self.elapsed / self.budget if share is None else share, 1.0)
        rate = min(self.stage_steps / 200, 1.0) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))
        for group in self.optimiser.param_groups:
            group["lr"] = self.lr * rate
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        if torch.isfinite(norm):
            self.optimiser.step()
            self.ema.update(self.model)
        self.steps += 1
        self.stage_steps += 1
        return float(norm)

    def enter(self, stage: str) -> None:
        """Begin a stage of training, with its own warm-up; nothing when it is the present one."""
        if stage != self.stage:
            self.stage, self.stage_steps = stage, 0

    def save(self, next_seed: int) -> None:
        """Write what a later sitting needs, atomically."""
        state = {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "ema": self.ema.shadow,
            "ema_steps": self.ema.steps,
            "steps": self.steps,
            "stage": self.stage,
            "stage_steps": self.stage_steps,
            "seconds": self.elapsed,
            "next_seed": next_seed,
        }
        temporary = self.folder / (STATE + ".tmp")
        torch.save(state, temporary)
        temporary.replace(self.folder / STATE)

    def _restore(self) -> None:
        state = torch.load(self.folder / STATE, map_location="cpu", weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        for name, value in state["ema"].items():
            self.ema.shadow[name].copy_(value)
        self.ema.steps, self.steps = state["ema_steps"], state["steps"]
        self.stage, self.stage_steps = state["stage"], state["stage_steps"]
        self._earlier, self.next_seed = state["seconds"], state["next_seed"]

    def log(self, **values) -> str:
        """Append a row to log.csv; returns it as one printable line."""
        row = {"minutes": round(self.elapsed / 60, 2), "step": self.steps, **values}
        path = self.folder / LOG
        fresh = not path.is_file()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(row))
            if fresh:
                writer.writeheader()
            writer.writerow(row)
        return "  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items())
