"""Floating-point operations: how many a pass takes, and how many a second the device can do at all."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from ..engine.precision import has_fast_bfloat16
from .timing import PROBE_EVALUATIONS, Timing, along_line, timed

MATRIX_SIZES = {"cpu": (1024, 2048), "cuda": (4096, 8192, 16384)}


def arithmetic_of(device: torch.device) -> torch.dtype:
    """The arithmetic that the networks run in on this device (engine/precision.py)."""
    return torch.bfloat16 if has_fast_bfloat16(device) else torch.float32


def operations(call: Callable[[], object]) -> int:
    """Operations of `call` by torch's own counter: convolutions, matrix products and attention, a multiply
    and its add as two; norms and activations count nothing."""
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def sampling_operations(sample: Callable[[int], object], evaluations: int) -> int:
    """Operations of `sample(evaluations)`, counted in short passes: every evaluation takes the same."""
    if evaluations <= PROBE_EVALUATIONS[1]:
        return operations(lambda: sample(evaluations))
    return round(
        along_line(*(operations(lambda n=n: sample(n)) for n in PROBE_EVALUATIONS), evaluations=evaluations)
    )


def matrix_product_ceiling(device: torch.device, spend: float = 1.0) -> tuple[float, int, Timing]:
    """(operations a second, matrix size, its Timing) of the square matrix product of MATRIX_SIZES that is
    fastest in the networks' arithmetic: 2 n³ operations each."""
    best = None
    for size in MATRIX_SIZES[device.type]:
        a, b = (torch.randn(size, size, device=device, dtype=arithmetic_of(device)) for _ in range(2))
        out = torch.empty_like(a)
        time = timed(lambda a=a, b=b, out=out: torch.mm(a, b, out=out), device, spend)
        rate = 2 * size**3 / time.seconds
        if best is None or rate > best[0]:
            best = rate, size, time
    return best
