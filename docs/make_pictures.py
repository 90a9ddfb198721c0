"""Draws the pictures of docs/phantom.md: `python docs/make_pictures.py`.

The contact sheet shows one mid-level slice of six digital hearts. Their seeds are the first of the
validation range that fit each row's description, so no test heart is looked at.
"""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from PIL import Image

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
from T1DiffLogic.phantom.motion import build_ventricles
from T1DiffLogic.phantom.planes import Planes
from T1DiffLogic.phantom.render import DigitalScan
from T1DiffLogic.report.colours import T1_WINDOW_MS, colour_t1, lipari_table
from T1DiffLogic.study import LV_CAVITY, LV_MYOCARDIUM

SHEET = Path(__file__).parent / "pictures" / "digital_hearts.png"
FIELD_MM, SHOWN_MM, PIXEL_MM, LEVEL = 312.0, 168.0, 1.5, 0.50
COLUMNS = ("cine, ED", "cine, ES", "native T1 (MOLLI scan)", "noise-free T1", "infarct at ED")


@dataclass(frozen=True)
class Row:
    """One heart of the sheet: its title and what its drawn parameters must fulfil."""

    title: str
    condition: int
    angle: tuple[float, float] = (0.0, 360.0)  # of the lesion, degrees; 90 anterior, 270 inferior
    wide: bool = False

    def heart(self) -> Hearts:
        """The first validation heart of this kind; an infarct is deep and reaches the mid level."""
        for seed in SEEDS["validation"]:
            hearts = sample_hearts([seed], wide=self.wide)
            lesion = hearts.lesions[0]
            fits = hearts.condition.item() == self.condition
            fits &= self.angle[0] <= lesion.angle.item() <= self.angle[1]
            if self.condition == INFARCT:
                fits &= lesion.transmurality.item() > 0.7 and abs(lesion.along.item() - LEVEL) < 0.12
            if fits:
                return hearts
        raise LookupError(f"no validation heart is like: {self.title}")


ROWS = (
    Row("healthy", HEALTHY),
    Row("anterior infarct (LAD)", INFARCT, (90, 130)),
    Row("inferior infarct (RCA)", INFARCT, (230, 265)),
    Row("stunned, no scar", STUNNED),
    Row("global hypokinesia", GLOBAL_HYPOKINESIA),
    Row("training range ('wide')", INFARCT, wide=True),
)


def scan_of(hearts: Hearts) -> DigitalScan:
    """A short-axis slice through the middle of the LV, standard display: anterior up, RV on the left."""
    one = torch.ones(1)
    planes = Planes(
        height=LEVEL * build_ventricles(hearts).length,
        thickness=8 * one,
        pixel=PIXEL_MM * one,
        centre=torch.tensor([[14.0, 2.0]]),
        rotation=0 * one,
        mirrored=0 * one,
        view=0 * one,
        size=round(FIELD_MM / PIXEL_MM),
    )
    return DigitalScan(hearts, planes)


def facts(row: Row, scan: DigitalScan) -> str:
    hearts, ventricle = scan.hearts, scan.ventricle
    (edv, _), (esv, _) = ventricle.volumes_ml(0.0), ventricle.volumes_ml(1.0)
    lines = [
        row.title,
        f"seed {hearts.seeds[0]}, {'woman' if hearts.female.item() else 'man'}",
        f"EDV {edv.item():.0f} ml, EF {100 * (1 - esv / edv).item():.0f} %",
        f"remote T1 {hearts.tissues['myocardium'].t1_ms.item():.0f} ms",
    ]
    if hearts.lesions[0].scar.item():
        obstructed = ", MVO" if hearts.lesions[0].mvo.item() else ""
        lines.append(f"core T1 {hearts.tissues['core'].t1_ms.item():.0f} ms{obstructed}")
    return "\n".join(lines)


def cropped(images: np.ndarray) -> np.ndarray:
    """The middle SHOWN_MM of (..., H, W); random fields have the scale of a whole field of view."""
    edge = round((FIELD_MM - SHOWN_MM) / PIXEL_MM / 2)
    return images[..., edge:-edge, edge:-edge]


def draw_row(axes, row: Row) -> None:
    scan = scan_of(row.heart())
    hearts = scan.hearts
    times = torch.stack([hearts.r_delay, hearts.r_delay + hearts.systole], dim=1) % 1.0
    frames, labels = scan.cine(times)
    truth, _ = scan.molli(noise=False)
    scanned, _ = scan.molli()
    frames, labels = cropped(frames[0].numpy()), cropped(labels[0].numpy())
    top = np.percentile(frames, 99.3)
    for axis, frame in zip(axes[:2], frames):
        axis.imshow(frame, cmap="gray", vmin=0, vmax=top, interpolation="bicubic")
    for axis, t1_map in zip(axes[2:4], (scanned, truth)):
        values = cropped(t1_map[0].numpy())
        axis.imshow(colour_t1(values, values > 0), interpolation="nearest")
        axis.set_facecolor("black")
    last = axes[4]
    last.imshow(frames[0], cmap="gray", vmin=0, vmax=top * 1.3, interpolation="bicubic")
    for label in (LV_MYOCARDIUM, LV_CAVITY):
        last.contour(labels[0] >= label, [0.5], colors="#ffffff", linewidths=0.6)
    mixture = scan.shapes(torch.zeros(1, 1)).mixture
    wall = labels[0] == LV_MYOCARDIUM
    for name, colour in (("oedema", "#4fc3f7"), ("core", "#ff5252"), ("mvo", "#ffeb3b")):
        share = cropped(mixture[name][0, 0].numpy()) * wall
        if share.max() > 0.5:
            last.contour(share, [0.5], colors=colour, linewidths=1.1)
    beside = {"transform": axes[0].transAxes, "ha": "right", "va": "center", "fontsize": 7}
    axes[0].text(-0.06, 0.5, facts(row, scan), **beside)


@torch.no_grad()
def contact_sheet() -> Image.Image:
    figure, axes = plt.subplots(len(ROWS), 5, figsize=(9.6, 10.0), dpi=125)
    figure.subplots_adjust(left=0.17, right=0.995, top=0.94, bottom=0.07, wspace=0.03, hspace=0.03)
    for i, row in enumerate(ROWS):
        draw_row(axes[i], row)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    for axis, title in zip(axes[0], COLUMNS):
        axis.set_title(title, fontsize=8)
    title = f"Digital phantoms, mid-level short axis, {SHOWN_MM:.0f} mm shown. Research only."
    figure.suptitle(title, fontsize=9, y=0.985)
    colours = ScalarMappable(Normalize(*T1_WINDOW_MS), ListedColormap(lipari_table()[1:]))
    bar = figure.add_axes((0.50, 0.048, 0.33, 0.012))
    figure.colorbar(colours, cax=bar, orientation="horizontal")
    bar.tick_params(labelsize=7)
    bar.set_xlabel("apparent T1 (ms), Lipari", fontsize=7, labelpad=1)
    key = (("oedema", "#0288d1", 0.845), ("core", "#d50000", 0.905), ("MVO", "#b59f00", 0.95))
    for name, colour, x in key:
        figure.text(x, 0.05, name, color=colour, fontsize=7)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    plt.close(figure)
    return Image.open(buffer).convert("RGB")


def main() -> None:
    SHEET.parent.mkdir(exist_ok=True)
    contact_sheet().save(SHEET, optimize=True)
    print(f"{SHEET}: {SHEET.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
