"""What adversarial methods are scored by: adversarial losses, L1."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

ADVERSARIAL = ("bce", "lsgan")


def adversarial_loss(kind: str, scores: Tensor, real: bool) -> Tensor:
    """0-dim: how far a discriminator's scores are from 1 (real) or 0.

    'bce'    cross-entropy of logits (Goodfellow et al. 2014; for the generator its non-saturating form)
    'lsgan'  squared error (Mao et al. 2017)
    """
    target = torch.full_like(scores, float(real))
    if kind == "bce":
        return F.binary_cross_entropy_with_logits(scores, target)
    if kind == "lsgan":
        return F.mse_loss(scores, target)
    raise ValueError(f"adversarial loss '{kind}' is not one of {', '.join(ADVERSARIAL)}")


def discriminator_loss(kind: str, real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """0-dim: half the sum, which slows the discriminator against the generator (Isola et al. 2017)."""
    return 0.5 * (adversarial_loss(kind, real_scores, True) + adversarial_loss(kind, fake_scores, False))


def l1(image: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """0-dim mean absolute error; with `weight` (≥ 0, same shape) the weighted mean."""
    error = (image.float() - target).abs()
    return error.mean() if weight is None else (weight * error).sum() / weight.sum().clamp_min(1e-6)
