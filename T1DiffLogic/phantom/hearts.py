"""Who the digital patients are: size, wall, motion, infarct and tissue, drawn per seed.

Two distributions (docs/method.md): *physiological* follows published values, for tests and the study;
*wide* surrounds it generously, for the training stream. Sources of the numbers: cavity volumes,
mass and wall thickness of healthy adults (Kawel-Boehm et al., JCMR 2015/2020), infarct size and
function after STEMI (Granitz 2018; Layland 2017), tissue times at 3 T (McDiarmid 2015; Granitz
2018; de Bazelaire 2004; Stanisz 2005). Angles are degrees counter-clockwise in the heart frame:
0 lateral, 90 anterior, 180 mid-septal, 270 inferior.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .draws import Average, Draws

HEALTHY, INFARCT, STUNNED, GLOBAL_HYPOKINESIA = range(4)
"""Conditions. STUNNED moves badly in one territory without any scar."""


@dataclass(frozen=True)
class Lesion:
    """One infarct (or stunned territory), all (B,): angular centre and half-width (degrees),
    longitudinal centre and half-width (fraction of LV length), transmurality 0…1, strength 0/1 of
    scar and of MVO, motion multiplier in the core and in the border."""

    angle: torch.Tensor
    half_angle: torch.Tensor
    along: torch.Tensor
    half_along: torch.Tensor
    transmurality: torch.Tensor
    scar: torch.Tensor
    mvo: torch.Tensor
    core_motion: torch.Tensor
    border_motion: torch.Tensor
    ragged: torch.Tensor


@dataclass(frozen=True)
class Tissue:
    """Relaxation times and proton density, all (B,): T1 as MOLLI shows it (`apparent`), T2, PD."""

    t1_ms: torch.Tensor
    t2_ms: torch.Tensor
    density: torch.Tensor
    apparent: bool = True


@dataclass(frozen=True)
class Hearts:
    """B digital hearts. Lengths mm, angles degrees, times ms; every field is (B,) or a record of (B,)."""

    seeds: tuple[int, ...]
    wide: bool
    female: torch.Tensor
    condition: torch.Tensor
    cavity_radius: torch.Tensor  # ED endocardial radius at its widest level
    edv_target_ml: torch.Tensor
    ef_target: torch.Tensor  # of the heart without its lesions
    wall: torch.Tensor  # ED thickness at mid level
    endo_waves: torch.Tensor  # (B, 2, 2) relative amplitude and phase of harmonics 2, 3
    wall_waves: torch.Tensor  # (B, 2, 2) harmonics 1, 2
    apex_power: torch.Tensor
    base_narrowing: torch.Tensor
    outflow: torch.Tensor  # opening of the basal ring, 0…1
    tilt: torch.Tensor  # (B, 2) in-plane drift of the axis, mm per mm
    shortening: torch.Tensor  # longitudinal, fraction
    twist: torch.Tensor  # apex minus base, degrees
    sway: torch.Tensor  # (B, 2) in-plane bulk motion at ES
    systole: torch.Tensor  # fraction of the cycle at ES
    diastasis: torch.Tensor  # activation left before the atrial kick
    r_delay: torch.Tensor  # fraction of the cycle by which ED follows the first frame
    rv_width: torch.Tensor
    rv_height: torch.Tensor  # relative to the LV's epicardial radius
    rv_start: torch.Tensor  # level (fraction of length) at which the RV begins
    rv_contraction: torch.Tensor
    septal_angle: torch.Tensor  # direction of mid-septum in the heart frame is 180 + this
    papillaries: torch.Tensor  # (B, 2, 3) angle, radius mm, gap to the wall relative
    trabeculae: torch.Tensor
    lesions: tuple[Lesion, ...]
    tissues: dict[str, Tissue]
    average_tissues: dict[str, Tissue]  # of an average person of that sex with an infarct of that age
    heart_rate: torch.Tensor

    @property
    def device(self):
        return self.wall.device

    def __len__(self) -> int:
        return len(self.seeds)


def _lesion(
    d: Draws, active: torch.Tensor, scarred: torch.Tensor, chronic: torch.Tensor, wide: bool
) -> Lesion:
    territory = d.choice([0.46, 0.38, 0.16])  # LAD, RCA, LCX
    centre = torch.tensor([115.0, 245.0, 335.0], device=d.u.device)[territory] + d.normal(0, 14)
    along = torch.tensor([0.36, 0.62, 0.60], device=d.u.device)[territory] + d.normal(0, 0.09)
    half_angle = torch.tensor([60.0, 50.0, 46.0], device=d.u.device)[territory] * d.uniform(0.6, 1.25)
    half_along = torch.tensor([0.42, 0.36, 0.34], device=d.u.device)[territory] * d.uniform(0.65, 1.3)
    anywhere = d.chance(0.35 if wide else 0.0)
    centre = torch.lerp(centre, d.uniform(0, 360), anywhere)
    along = torch.lerp(along, d.uniform(0.1, 0.95), anywhere)
    half_angle = torch.lerp(half_angle, d.uniform(18, 80), anywhere)
    half_along = torch.lerp(half_along, d.uniform(0.12, 0.7), anywhere)
    transmurality = d.uniform(0.3, 1.0)
    # motion is evidence and never the label: its loss follows transmurality only loosely
    core_motion = (0.75 - 0.6 * transmurality + d.normal(0, 0.15)).clamp(0, 0.6)
    spared = d.chance(0.2 if wide else 0.1)
    core_motion = torch.lerp(core_motion, d.uniform(0.7, 1.0), spared)
    border_motion = torch.maximum(d.uniform(0.5, 0.9), core_motion)
    still = 1 - active
    mvo = d.chance(0.58) * (transmurality > 0.45) * (1 - chronic)
    return Lesion(
        angle=centre,
        half_angle=half_angle,
        along=along,
        half_along=half_along,
        transmurality=transmurality,
        scar=active * scarred,
        mvo=active * scarred * mvo,
        core_motion=core_motion * active + still,
        border_motion=border_motion * active + still,
        ragged=d.uniform(0.0, 360.0),
    )


def _tissues(d: Draws, female: torch.Tensor, chronic: torch.Tensor, wide: bool) -> dict[str, Tissue]:
    spread = 1.4 if wide else 1.0
    shift = d.normal(0, 1) * spread  # T1 and T2 go together within a person
    remote_t1 = 1200 + 12 * female + 38 * shift + d.normal(0, 20) * spread
    remote_t2 = 46 + 2.0 * shift + d.normal(0, 2.0)
    density = 0.80 + d.normal(0, 0.01)
    oedema_t1 = (1300 + d.normal(0, 40) * spread) + (remote_t1 - 1205)
    core_t1 = (1430 + d.normal(0, 65) * spread) + (remote_t1 - 1205)
    chronic_t1 = (1560 + d.normal(0, 90)) + (remote_t1 - 1205)
    core_t1 = torch.lerp(core_t1, chronic_t1, chronic)
    core_t2 = torch.lerp(60 + d.normal(0, 3) * spread, remote_t2 + d.normal(0, 2), chronic)
    oedema_t2 = torch.lerp(57 + d.normal(0, 3) * spread, remote_t2 + d.normal(0, 1), chronic)
    oedema_t1 = torch.lerp(oedema_t1, remote_t1 + 60, chronic)
    infarct_density = density * d.uniform(1.0, 1.06)
    ones = torch.ones_like(density)
    true = {
        "liver": (809 + d.normal(0, 71), 34 + d.normal(0, 3), 0.80),
        "muscle": (1150 + d.normal(0, 150), 38 + d.normal(0, 5), 0.80),
        "fat": (382 + d.normal(0, 13), 68 + d.normal(0, 5), 0.90),
        "spleen": (1328 + d.normal(0, 31), 61 + d.normal(0, 5), 0.82),
        "lung": (1300 + d.normal(0, 60), 20 * ones, 0.20),
    }
    tissues = {name: Tissue(t1, t2, pd * ones, apparent=False) for name, (t1, t2, pd) in true.items()}
    tissues["blood"] = Tissue(1830 + d.normal(0, 60) * spread, d.uniform(130, 260), 0.90 * ones)
    tissues["myocardium"] = Tissue(remote_t1, remote_t2, density)
    tissues["oedema"] = Tissue(oedema_t1, oedema_t2, density * (0.5 + 0.5 * infarct_density / density))
    tissues["core"] = Tissue(core_t1, core_t2, infarct_density)
    tissues["mvo"] = Tissue(1220 + d.normal(0, 60) + (remote_t1 - 1205), 48 + d.normal(0, 3), density)
    return tissues


def _waves(d: Draws, amplitudes) -> torch.Tensor:
    return torch.stack([torch.stack([d.normal(0, a), d.uniform(0, 360)], -1) for a in amplitudes], dim=1)


def sample_hearts(seeds, *, wide: bool = False, infarcted: bool | None = None, device="cpu") -> Hearts:
    """Draw one heart per seed.

    seeds      integers; the same seed gives the same heart whatever stands beside it
    wide       the training distribution instead of the physiological one
    infarcted  None draws the condition (physiological: 70 % infarct, 12 % stunned without scar,
               6 % globally hypokinetic, 12 % healthy); True or False forces infarct or healthy
    """
    d = Draws(seeds, device)
    female = d.chance(0.4)
    condition = torch.tensor([INFARCT, STUNNED, GLOBAL_HYPOKINESIA, HEALTHY], device=device)[
        d.choice([0.70, 0.12, 0.06, 0.12])
    ]
    if infarcted is not None:
        condition = torch.full_like(condition, INFARCT if infarcted else HEALTHY)
    infarct = (condition == INFARCT).float()
    dull = (condition == GLOBAL_HYPOKINESIA).float()
    chronic = infarct * d.chance(0.12 if wide else 0.0)

    radius = torch.lerp(25.6 + d.normal(0, 1.5), 24.0 + d.normal(0, 1.4), female)
    edv = torch.lerp(160 * (radius / 25.6) ** 2, 132 * (radius / 24.0) ** 2, female) * (1 + d.normal(0, 0.10))
    remodelling = infarct * d.uniform(0.0, 0.12) + dull * d.uniform(0.05, 0.35)
    radius, edv = radius * (1 + remodelling / 2.2), edv * (1 + remodelling)
    wall = torch.lerp(6.9 + d.normal(0, 0.9), 5.9 + d.normal(0, 0.75), female)
    ef = 0.665 + d.normal(0, 0.048) - infarct * d.uniform(0.0, 0.16) - dull * d.uniform(0.15, 0.4)
    if wide:
        unusual = d.chance(0.5)
        wide_radius = d.uniform(15, 36)
        radius = torch.lerp(radius, wide_radius, unusual)
        edv = torch.lerp(edv, 150 * (wide_radius / 25) ** 2 * d.uniform(0.7, 1.3), unusual)
        wall = torch.lerp(wall, d.log_uniform(4.2, 15), unusual)
        ef = torch.lerp(ef, d.uniform(0.15, 0.75), d.chance(0.35))

    more = 2.0 if wide else 1.0
    lesioned = ((condition == INFARCT) | (condition == STUNNED)).float()
    first = _lesion(d, lesioned, infarct, chronic, wide)
    second = _lesion(d, lesioned * d.chance(0.2 if wide else 0.06), infarct, chronic, wide)
    papillaries = torch.stack(
        [
            torch.stack([45 + d.normal(0, 12), d.uniform(2.6, 4.8), d.uniform(0.0, 0.25)], -1),
            torch.stack([285 + d.normal(0, 14), d.uniform(2.6, 4.8), d.uniform(0.0, 0.25)], -1),
        ],
        dim=1,
    )
    return Hearts(
        seeds=tuple(int(s) for s in seeds),
        wide=wide,
        female=female,
        condition=condition,
        cavity_radius=radius,
        edv_target_ml=edv,
        ef_target=ef.clamp(0.12, 0.78),
        wall=wall,
        endo_waves=_waves(d, (0.035 * more, 0.02 * more)),
        wall_waves=_waves(d, (0.07 * more, 0.05 * more)),
        apex_power=d.uniform(0.34, 0.52),
        base_narrowing=d.uniform(0.0, 0.14),
        outflow=d.chance(0.7) * d.uniform(0.4, 1.0),
        tilt=torch.stack([d.normal(0, 0.05 * more), d.normal(0, 0.05 * more)], -1),
        shortening=(0.155 + d.normal(0, 0.025)) * (ef / 0.65).clamp(0.3, 1.1),
        twist=d.normal(12, 4) * (ef / 0.65).clamp(0.2, 1.1),
        sway=torch.stack([d.normal(0, 1.2 * more), d.normal(0, 1.2 * more)], -1),
        systole=d.uniform(0.30, 0.44) if wide else d.uniform(0.33, 0.41),
        diastasis=d.uniform(0.05, 0.32),
        r_delay=d.uniform(-0.03, 0.04) if wide else d.uniform(-0.01, 0.02),
        rv_width=d.uniform(14, 56) if wide else d.normal(35, 5),
        rv_height=d.uniform(0.75, 1.25) if wide else d.uniform(0.88, 1.05),
        rv_start=d.uniform(0.08, 0.35) if wide else d.uniform(0.14, 0.28),
        rv_contraction=d.uniform(0.1, 0.5) if wide else d.uniform(0.25, 0.42),
        septal_angle=d.normal(0, 6 * more),
        papillaries=papillaries,
        trabeculae=d.uniform(0.0, 0.07) if wide else d.uniform(0.01, 0.045),
        lesions=(first, second),
        tissues=_tissues(d, female, chronic, wide),
        average_tissues=_tissues(Average(len(seeds), device), female, chronic, wide),
        heart_rate=d.uniform(45, 115) if wide else d.uniform(55, 95),
    )
