"""Which arithmetic the networks run in: bfloat16 where the processor has it, float32 elsewhere."""

from __future__ import annotations

import torch


def has_fast_bfloat16(device: torch.device) -> bool:
    """True on CUDA and on CPUs with AVX512-BF16; other CPUs emulate bfloat16 slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    # a private name of torch: absent in some versions, and then float32 is always right
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return device.type == "cpu" and supported is not None and bool(supported())


def inference_precision(device: torch.device) -> torch.autocast:
    """Context in which to run a network: same machine, same arithmetic, same bytes."""
    return torch.autocast(device.type, torch.bfloat16, enabled=has_fast_bfloat16(device))
