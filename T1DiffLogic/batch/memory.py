"""When a GPU's memory runs out: the same work in smaller batches, then on the CPU, and always said."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence

import torch

from ..devices import chosen_device

SMALLER_BATCHES = (64, 16)
"""Slices × samples at once after the device's own number did not fit (sampling.MAPS_AT_ONCE)."""

Rung = tuple[str, int | None]
"""A device and the number of maps at once."""


def rungs_for(device: str, ordinal: int = 0) -> list[Rung]:
    """What to try in turn for `device` ("auto", "cpu", "cuda"), on the GPU of the given ordinal.

    StudyError when cuda is asked for and there is none.
    """
    if chosen_device(device).type == "cpu":
        return [("cpu", None)]
    torch.cuda.set_device(ordinal % torch.cuda.device_count())
    return [("cuda", None), *(("cuda", maps) for maps in SMALLER_BATCHES), ("cpu", None)]


def with_less_memory(attempt: Callable[[str, int | None], object], rungs: Sequence[Rung], say):
    """attempt(device, maps_at_once) on the first of `rungs` whose memory suffices.

    say  called with a sentence for each step down

    Any error but a full GPU passes through, and so does a full GPU on the last rung.
    """
    for rung, following in zip(rungs, [*rungs[1:], None]):
        try:
            return attempt(*rung)
        except Exception as error:
            if following is None or not is_gpu_memory(error):
                raise
        # only here is the traceback gone, which held on to the tensors of the attempt
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        device, maps = following
        say(
            "GPU memory ran out; done on the CPU instead"
            if device == "cpu"
            else f"GPU memory ran out; tried again with {maps} maps at once"
        )


def is_gpu_memory(error: BaseException) -> bool:
    """Whether `error` is how torch, cuBLAS or cuDNN say that the GPU's memory is full."""
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and any(
        sign in text
        for sign in (
            "CUDA error: out of memory",
            "CUDA out of memory",
            "STATUS_ALLOC_FAILED",
            "CUDNN_STATUS_ALLOC",
        )
    )
