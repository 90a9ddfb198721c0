"""The face that every method of the study shows: inputs of a slice in, native T1 maps in ms out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..engine import checkpoint
from .learner import Learner

T1_WINDOW_MS = (0.0, 2400.0)
"""The one window that [−1, 1] stands for, in every method and for every image."""


def normalise(t1_ms: Tensor) -> Tensor:
    """ms -> [−1, 1] over T1_WINDOW_MS, clipped to it."""
    low, high = T1_WINDOW_MS
    return (t1_ms.clamp(low, high) - low) * (2 / (high - low)) - 1


def denormalise(value: Tensor) -> Tensor:
    """[−1, 1] -> ms, clipped to T1_WINDOW_MS."""
    low, high = T1_WINDOW_MS
    return (value.clamp(-1, 1) + 1) * ((high - low) / 2) + low


def ed_and_es(cine: Tensor) -> tuple[Tensor, Tensor]:
    """The paper's two frames, (B,1,H,W) each, of cine (B,P,H,W) with P ≥ 3, scaled as T1Diff's encoder
    sees them: 2 · (signal − 0.5), where normalised blood is near 1 and myocardium near one half."""
    if cine.shape[1] < 3:
        raise ValueError(f"ED and ES are frames 0 and P − 2 of at least 3, got {cine.shape[1]}")
    return 2 * (cine[:, :1] - 0.5), 2 * (cine[:, -2:-1] - 0.5)


class Method(Learner):
    """A way from cine to T1 map, trained, validated and evaluated like all the others.

    architecture   plain JSON values that build `self.network` again: the constructor's argument, one of
                   the sizes in Resources/Configs/<name>.json
    cine_phases    frames P that the rendered stream gives; frame 0 is ED and frame P − 2 is ES
    deterministic  True: one map for a slice, whatever `samples`

    `inputs` everywhere are those of training.rendered.engine_inputs: cine (B,P,H,W) normalised, soft_ed,
    soft_es (B,4,H,W), t1_ms, expected_ms and weight (B,1,H,W), where 0 in `weight` is a pixel without
    a T1. `predict_ms` needs the first three alone.
    """

    cine_phases: int = 5
    deterministic: bool = True

    def __init__(self, architecture: dict):
        super().__init__()
        self.architecture = architecture

    def takes_phases(self, count: int) -> bool:
        """Whether it can learn from cines of `count` frames: ED and ES must be among them."""
        return count >= 3

    def predict_ms(self, inputs: dict, samples: int, seed: int, slices: Sequence[int]) -> Tensor:
        """(B,K,H,W) float32 ms of the B slices of `inputs`; K is `samples`, or 1 when deterministic.

        slices  (B,) numbers that key the noise together with `seed` (engine.noise.keyed_noise), so
                that a slice's maps do not depend on the batch it comes in
        """
        raise NotImplementedError

    def sd_ms(self, inputs: dict) -> Tensor | None:
        """(B,H,W) float32 ms: the SD of a scan's T1 around the map, where the method knows it in itself; None
        where only samples tell."""
        return None

    @torch.no_grad()
    def validated_ms(self, inputs: dict, slices: Sequence[int]) -> dict[str, Tensor]:
        """Maps (B,H,W) ms to follow during training; '' is what the method stands for at present."""
        return {"": self.predict_ms(inputs, samples=2, seed=0, slices=slices).mean(1)}

    def save(self, folder: Path, metadata: dict) -> None:
        checkpoint.write(self.name, self.architecture, self.network, folder, metadata | {"method": self.name})
