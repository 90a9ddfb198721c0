"""How tissue looks: bSSFP steady state for the cine, MOLLI 5(3)3 for the T1 map.

bSSFP after Freeman and Hill 1971 (domain formula M0·sinα(1−E1)/(1−(E1−E2)cosα−E1E2)·exp(−TE/T2));
MOLLI after Messroghli et al. 2004 in the 5(3)3 scheme of Kellman and Hansen 2014, its read-outs
simulated with longitudinal magnetisation that relaxes towards the bSSFP steady state while they last.
"""

from __future__ import annotations

import math

import torch

from ..look_locker import fit_signed
from .hearts import Tissue

MOLLI_TI_MS = (120.0, 200.0)
"""Inversion time of the first image of each of the two inversions of MOLLI 5(3)3."""

MOLLI_FLIP_DEG, MOLLI_TR_MS, MOLLI_READOUT_MS = 35.0, 2.7, 190.0
INVERSION_EFFICIENCY = 0.96


def bssfp(tissue: Tissue, true_t1: torch.Tensor, flip_deg, tr_ms=3.0, te_ms=1.5) -> torch.Tensor:
    """Steady-state signal (B,) relative to M0 = 1 for a flip angle (float or (B,)) in degrees."""
    alpha = torch.as_tensor(flip_deg, device=true_t1.device) * math.pi / 180
    e1, e2 = torch.exp(-tr_ms / true_t1), torch.exp(-tr_ms / tissue.t2_ms)
    steady = torch.sin(alpha) * (1 - e1) / (1 - (e1 - e2) * torch.cos(alpha) - e1 * e2)
    return tissue.density * steady * torch.exp(-te_ms / tissue.t2_ms)


def molli_times(heart_rate: torch.Tensor) -> torch.Tensor:
    """(B, 8) nominal inversion times in ms of the 5(3)3 images, in acquisition order."""
    rr = 60000.0 / heart_rate
    first = MOLLI_TI_MS[0] + torch.arange(5, device=rr.device) * rr[:, None]
    second = MOLLI_TI_MS[1] + torch.arange(3, device=rr.device) * rr[:, None]
    return torch.cat([first, second], dim=1)


def molli_signal(true_t1: torch.Tensor, t2: torch.Tensor, density: torch.Tensor, heart_rate: torch.Tensor):
    """(B, 8) signed signals at the centres of the read-outs; all inputs (B,)."""
    alpha = MOLLI_FLIP_DEG * math.pi / 180
    e1, e2 = torch.exp(-MOLLI_TR_MS / true_t1), torch.exp(-MOLLI_TR_MS / t2)
    # magnetisation along the axis tilted by α/2, onto which a preparation pulse puts it
    steady = 2 * math.cos(alpha / 2) * (1 - e1) / (1 - (e1 - e2) * math.cos(alpha) - e1 * e2)
    rate = math.cos(alpha / 2) ** 2 / true_t1 + math.sin(alpha / 2) ** 2 / t2  # Schmitt et al. 2004
    half = torch.exp(-0.5 * MOLLI_READOUT_MS * rate)
    rr = 60000.0 / heart_rate
    m = torch.ones_like(true_t1)
    images = []
    for first_ti, count, pause in ((MOLLI_TI_MS[0], 5, 3), (MOLLI_TI_MS[1], 3, 0)):
        m = -INVERSION_EFFICIENCY * m
        wait = torch.as_tensor(first_ti - 0.5 * MOLLI_READOUT_MS, device=m.device)
        for _ in range(count):
            m = 1 - (1 - m) * torch.exp(-wait / true_t1)
            m = steady + (m - steady) * half
            images.append(m)
            m = (steady + (m - steady) * half) * math.cos(alpha / 2)  # what is transverse dephases
            wait = rr - MOLLI_READOUT_MS
        m = 1 - (1 - m) * torch.exp(-(wait + pause * rr) / true_t1)
    return torch.stack(images, dim=1) * (density * math.sin(alpha / 2) * torch.exp(-1.3 / t2))[:, None]


def molli_apparent(true_t1, t2, heart_rate: float = 60.0) -> torch.Tensor:
    """(B,) T1 in ms that a noise-free MOLLI 5(3)3 fit shows for a true T1."""
    rate = torch.full_like(true_t1, heart_rate)
    signal = molli_signal(true_t1, t2, torch.ones_like(true_t1), rate)
    return fit_signed(signal, molli_times(rate)[0])[0]


def true_t1(tissue: Tissue) -> torch.Tensor:
    """(B,) true T1 in ms of a tissue whose table value may be what MOLLI shows at 60 bpm."""
    if not tissue.apparent:
        return tissue.t1_ms
    estimate = tissue.t1_ms / 0.87
    for _ in range(4):  # fixed point: the ratio apparent/true varies slowly with T1
        estimate = estimate * tissue.t1_ms / molli_apparent(estimate, tissue.t2_ms)
    return estimate
