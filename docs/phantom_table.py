"""Prints the cohort table of docs/phantom.md, nothing is rendered: `python docs/phantom_table.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # from a source tree that is not installed

from T1DiffLogic.phantom.draws import SEEDS
from T1DiffLogic.phantom.hearts import (
    GLOBAL_HYPOKINESIA,
    HEALTHY,
    INFARCT,
    STUNNED,
    Hearts,
    sample_hearts,
)
from T1DiffLogic.phantom.motion import build_ventricles, end_diastolic_radii, lesion_extent
from T1DiffLogic.phantom.signal import bssfp, molli_apparent, true_t1

COUNT = 400


def row(name: str, values: torch.Tensor, published: str, digits: int = 0) -> None:
    print(f"| {name} | {values.mean().item():.{digits}f} ± {values.std().item():.{digits}f} | {published} |")


def volumes(hearts: Hearts):
    """EDV, ESV (ml), mass (g), each (B,)."""
    ventricles = build_ventricles(hearts)
    (edv, muscle), (esv, _) = ventricles.volumes_ml(0.0), ventricles.volumes_ml(1.0)
    return edv, esv, 1.05 * muscle


def mid_wall(hearts: Hearts):
    """ED wall at mid level and its thickening at ES (mm), each (B,)."""
    ventricles = build_ventricles(hearts)
    angle = torch.arange(0.0, 360.0, 7.5).expand(len(hearts), -1)
    systole = torch.ones_like(angle)
    endo, epi = end_diastolic_radii(hearts, 0.5 * systole, angle)
    z = 0.5 * ventricles.length[:, None] * ventricles.stretch(systole)
    inner, outer, _, _ = ventricles.radii(z, angle, systole)
    wall = (epi - endo).mean(1)
    return wall, (outer - inner).mean(1) - wall


def infarct_size(hearts: Hearts, grow: float, deeper: float) -> torch.Tensor:
    """(B,) % of LV mass inside the lesions, their extents multiplied by `grow`, their depth raised."""
    shape = (len(hearts), 28, 40)
    u = ((torch.arange(28) + 0.5) / 28)[None, :, None].expand(shape)
    angle = (torch.arange(40) * 9.0).expand(shape)
    endo, epi = (r[..., None] for r in end_diastolic_radii(hearts, u, angle))
    depth = (torch.arange(12) + 0.5) / 12
    volume = (endo + (epi - endo) * depth) * (epi - endo)
    inside = torch.zeros_like(volume)
    for lesion in hearts.lesions:
        reach, scar = (v[:, None, None, None] for v in (lesion.transmurality + deeper, lesion.scar))
        share = lesion_extent(lesion, u, angle, grow)[..., None] * (depth < reach) * scar
        inside = torch.maximum(inside, share)
    return 100 * (inside * volume).sum((1, 2, 3)) / volume.sum((1, 2, 3))


def main() -> None:
    seeds = SEEDS["validation"][:COUNT]
    print(f"| {COUNT} hearts, seeds from {seeds[0]} | digital | reference |\n|---|---|---|")
    healthy = sample_hearts(seeds, infarcted=False)
    published = {
        False: ("160 ± 27", "54 ± 14", "67 ± 5", "134 ± 21", "6.3 ± 1.1"),
        True: ("132 ± 23", "44 ± 11", "67 ± 5", "98 ± 21", "5.3 ± 0.9"),
    }
    edv, esv, mass = volumes(healthy)
    wall, thickening = mid_wall(healthy)
    for female, who in ((False, "men"), (True, "women")):
        chosen = (healthy.female > 0) == female
        names = ("EDV ml", "ESV ml", "EF %", "LV mass g", "mid wall mm")
        values = (edv, esv, 100 * (1 - esv / edv), mass, wall)
        for name, value, reference in zip(names, values, published[female]):
            row(f"healthy {who}, {name}", value[chosen], reference, 1 if "mm" in name else 0)
    row("mid thickening mm", thickening, "4.4 ± 1.4", 1)
    row("mid thickening %", 100 * thickening / wall, "70 to 80")

    hearts = sample_hearts(seeds)
    edv, esv, _ = volumes(hearts)
    cases = ((HEALTHY, "healthy", "67 ± 5"), (INFARCT, "infarct", "45 ± 8"))
    cases += ((STUNNED, "stunned, no scar", "–"), (GLOBAL_HYPOKINESIA, "global hypokinesia", "–"))
    for condition, name, reference in cases:
        row(f"EF %, {name}", (100 * (1 - esv / edv))[hearts.condition == condition], reference)
    scarred = hearts.condition == INFARCT
    row("infarct core, % of LV mass", infarct_size(hearts, 1.0, 0.0)[scarred], "12 to 19")
    row("core with oedema, % of LV mass", infarct_size(hearts, 1.22, 0.3)[scarred], "–")
    print(f"| infarcts with MVO, % | {100 * hearts.lesions[0].mvo[scarred].mean().item():.0f} | 58 |")

    true = {name: true_t1(tissue) for name, tissue in hearts.tissues.items()}
    tissues = (("myocardium", "1184 ± 38 … 1205 ± 45"), ("oedema", "1300 ± 55"), ("core", "1430 ± 80"))
    tissues += (("mvo", "1220 ± 60"), ("blood", "1830 ± 60"))
    for name, reference in tissues:
        shown = molli_apparent(true[name], hearts.tissues[name].t2_ms)
        row(f"MOLLI T1 ms, {name}", shown, reference)
    ratio = molli_apparent(true["myocardium"], hearts.tissues["myocardium"].t2_ms) / true["myocardium"]
    row("apparent / true T1, myocardium", ratio, "0.84 to 0.88", 3)
    reference = bssfp(hearts.tissues["myocardium"], true["myocardium"], 45.0)
    contrasts = (("oedema", "1.12 to 1.18"), ("core", "1.08 to 1.15"), ("mvo", "1.03 to 1.08"))
    contrasts += (("blood", "1.7 to 2.9"), ("fat", "2.8 to 3.1 at equal PD"), ("lung", "0.18"))
    for name, expected in contrasts:
        signal = bssfp(hearts.tissues[name], true[name], 45.0)
        row(f"bSSFP signal / myocardium, {name}", signal / reference, expected, 2)


if __name__ == "__main__":
    main()
