"""Digital patients from outside the training distributions: another scanner, other diseases.

Test sets of these say how far a method holds beyond what it has learned; nothing is trained on them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from .draws import Draws
from .hearts import Hearts, Tissue
from .render import Scanner


@dataclass(frozen=True)
class Shift:
    """What is changed of a heart and of the scanner before anything is rendered; None leaves it."""

    hearts: Callable[[Hearts], Hearts] | None = None
    scanner: Callable[[Scanner, tuple[int, ...]], Scanner] | None = None


def other_scanner(scanner: Scanner, seeds: tuple[int, ...]) -> Scanner:
    """The cine of another vendor: more blood–muscle contrast, more noise and blur, stronger coil shading
    and more frequent bands than the physiological distribution has; T1 maps of two thirds of its SNR.

    The T1 scale itself stays: another mapping sequence is another unit of measurement, not a domain shift.
    """
    d = Draws([int(s) ^ 0x5E1D0A for s in seeds], scanner.flip.device)
    return replace(
        scanner,
        flip=d.uniform(58, 66),
        snr=d.log_uniform(11, 16),
        blur=d.uniform(0.75, 1.0),
        shading=d.uniform(0.5, 0.75),
        banding=d.uniform(0.2, 0.6) * d.chance(0.6),
        inflow=d.uniform(1.15, 1.35),
        flow_texture=d.uniform(0.08, 0.13),
        t1_snr=d.uniform(19, 26),
    )


def other_disease(hearts: Hearts) -> Hearts:
    """Even seeds: a chronic infarct (core of higher T1 and the remote wall's T2, no oedema, no MVO).
    Odd seeds: diffuse fibrosis in a thick wall without any infarct, native T1 raised by 60 to 140 ms.

    Chronic times as in `hearts._tissues`; diffuse disease as in hypertrophic cardiomyopathy, native T1 at
    3 T of 1254 ± 43 ms against 1187 ± 34 ms in controls (Puntmann et al., JACC Imaging 2013) and beyond.
    """
    d = Draws([int(s) ^ 0xD15EA5E for s in hearts.seeds], hearts.device)
    diffuse = torch.tensor([float(int(s) % 2) for s in hearts.seeds], device=hearts.device)
    tissues = dict(hearts.tissues)
    remote = tissues["myocardium"]
    chronic_t1 = remote.t1_ms + 355 + d.normal(0, 90)
    tissues["core"] = Tissue(chronic_t1, remote.t2_ms, tissues["core"].density)
    tissues["oedema"] = Tissue(remote.t1_ms + 60, remote.t2_ms, tissues["oedema"].density)
    raised = remote.t1_ms + diffuse * d.uniform(60, 140)
    tissues["myocardium"] = Tissue(raised, remote.t2_ms, remote.density)
    lesions = tuple(
        replace(
            lesion,
            scar=lesion.scar * (1 - diffuse),
            mvo=torch.zeros_like(lesion.mvo),
            core_motion=torch.lerp(lesion.core_motion, torch.ones_like(diffuse), diffuse),
            border_motion=torch.lerp(lesion.border_motion, torch.ones_like(diffuse), diffuse),
        )
        for lesion in hearts.lesions
    )
    wall = hearts.wall * torch.lerp(torch.ones_like(diffuse), d.uniform(1.3, 1.8), diffuse)
    return replace(hearts, tissues=tissues, lesions=lesions, wall=wall)


SHIFTS = {"vendor": Shift(scanner=other_scanner), "disease": Shift(hearts=other_disease)}
