"""The picture by which a person judges a pair: ED and ES with contours, and the native map with its own.

Drawn with Pillow alone: a cohort has thousands of pairs, and a figure library would take longer than
the alignment itself.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..nrrd_files import LABEL_COLOURS
from ..report.colours import T1_WINDOW_MS, colour_t1, lipari_table
from ..report.slice_view import orientation_letters
from ..study import LV_CAVITY, LV_MYOCARDIUM, RV
from .exclusion import dice

SCALE, GAP, HEAD, FOOT = 3, 6, 44, 24
BAR_MM = 50.0
_NOTICE = "FOR RESEARCH ONLY, NOT FOR CLINICAL USE"


def write_pictures(folder, patient: str, record: dict, rows: list[dict]) -> None:
    """Write `folder`/<patient>_<slice>.png for every slice of a record (pairs.FIELDS). OSError."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for k, row in enumerate(rows):
        path = folder / f"{patient}_{row['slice']:02d}.png"
        temporary = path.with_name(f".t1diff-{path.name}")
        pair_picture(patient, record, row, k).save(temporary, format="png")
        os.replace(temporary, path)


def pair_picture(patient: str, record: dict, row: dict, k: int) -> Image.Image:
    """Slice k of a record: cine at ED | cine at ES | native T1 in Lipari, each with its contours."""
    frames = record["cine"][k].astype(np.float32)
    ed, es = frames[0], frames[frames.shape[0] - 2]
    # one grey window for both, so that inflow and banding are seen as they differ
    window = np.percentile(frames, (1, 99.5))
    t1, labels_t1 = record["t1_ms"][k], record["labels_t1"][k]
    rgb = colour_t1(t1, t1 > 0)[..., :3]
    panels = (
        (f"cine ED, phase {int(record['ed'])}", _grey(ed, window), record["soft_ed"][k].astype(np.float32)),
        (f"cine ES, phase {int(record['es'])}", _grey(es, window), record["soft_es"][k].astype(np.float32)),
        ("native T1, its own contours", _enlarged(rgb), None),
    )
    side = record["cine"].shape[-1] * SCALE
    bar = 58
    picture = Image.new("RGB", (3 * side + 4 * GAP + bar, HEAD + side + FOOT), "black")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(15)
    draw.text((GAP, 4), f"{patient}   slice {row['slice']}, {row['level']}", "white", font)
    draw.text((picture.width - GAP, 4), _NOTICE, (235, 190, 90), font, anchor="ra")
    for number, (title, image, soft) in enumerate(panels):
        left = GAP + number * (side + GAP)
        if soft is None:
            masks = {LV_MYOCARDIUM: labels_t1 >= LV_MYOCARDIUM, LV_CAVITY: labels_t1 == LV_CAVITY}
            for mask in masks.values():
                image[_outline(mask)] = (255, 255, 255)
        else:
            masks = {
                RV: soft[RV],
                LV_MYOCARDIUM: soft[LV_MYOCARDIUM] + soft[LV_CAVITY],
                LV_CAVITY: soft[LV_CAVITY],
            }
            for label, mask in masks.items():
                image[_outline(mask)] = np.array(LABEL_COLOURS[label]) * 255
        picture.paste(Image.fromarray(image), (left, HEAD))
        draw.text((left + 2, HEAD - 20), title, "white", font)
        _sides(draw, font, record, k, left, side)
    _colour_bar(picture, draw, font, 3 * side + 4 * GAP, side)
    length = BAR_MM / float(record["pixel_mm"]) * SCALE
    draw.line((GAP + 10, HEAD + side - 12, GAP + 10 + length, HEAD + side - 12), "white", 2)
    draw.text((GAP + 10, HEAD + side - 16), f"{BAR_MM:.0f} mm", "white", font, anchor="ld")
    draw.text((GAP, HEAD + side + 4), _measured(record, row, k), "white", font)
    return picture


def _measured(record: dict, row: dict, k: int) -> str:
    ed, own = record["labels_ed"][k], record["labels_t1"][k]
    wall = record["t1_ms"][k][own == LV_MYOCARDIUM]
    flags = f"   {row['flags']}" if row["flags"] else ""
    return (
        f"LV Dice {dice(ed >= LV_MYOCARDIUM, own >= LV_MYOCARDIUM):.2f}   map moved "
        f"{row['shift_row_mm']:.1f} mm down, {row['shift_col_mm']:.1f} mm right; its slice "
        f"{row['distance_mm']:.1f} mm away   wall T1 median {np.median(wall):.0f} ms, n {wall.size}{flags}"
    )


def _grey(image: np.ndarray, window) -> np.ndarray:
    low, high = window
    shade = np.clip((image - low) / max(high - low, 1e-6), 0, 1) * 255
    large = Image.fromarray(shade.astype(np.uint8)).resize([n * SCALE for n in image.shape], Image.BICUBIC)
    return np.repeat(np.asarray(large)[..., None], 3, axis=2).copy()


def _enlarged(rgb: np.ndarray) -> np.ndarray:
    """A map, pixel by pixel as it is."""
    return (rgb.repeat(SCALE, axis=0).repeat(SCALE, axis=1) * 255).astype(np.uint8)


def _outline(mask: np.ndarray) -> np.ndarray:
    """(H, W) mask or probabilities -> bool on the enlarged grid: where they cross one half."""
    smooth = mask.astype(np.float32)
    if mask.dtype == bool:  # labels: without the steps of their pixels
        padded = np.pad(smooth, 1, mode="edge")
        smooth = sum(padded[i : i + len(mask), j : j + len(mask)] for i in range(3) for j in range(3)) / 9
    small = Image.fromarray(smooth)
    inside = np.asarray(small.resize([n * SCALE for n in mask.shape], Image.BICUBIC)) > 0.5
    edge = np.zeros_like(inside)
    edge[:-1] |= inside[:-1] != inside[1:]
    edge[:, :-1] |= inside[:, :-1] != inside[:, 1:]
    return edge


def _sides(draw, font, record: dict, k: int, left: int, side: int) -> None:
    """Which side of the patient each edge is."""
    right, down = record["row"][k], record["column"][k]
    middle = HEAD + side // 2
    for direction, x, y, anchor in (
        (right, left + side - 4, middle, "rm"),
        (-right, left + 4, middle, "lm"),
        (-down, left + side // 2, HEAD + 4, "ma"),
        (down, left + side // 2, HEAD + side - 4, "md"),
    ):
        draw.text(
            (x, y),
            orientation_letters(direction),
            "white",
            font,
            anchor=anchor,
            stroke_width=1,
            stroke_fill="black",
        )


def _colour_bar(picture: Image.Image, draw, font, left: int, side: int) -> None:
    table = (lipari_table()[1:][::-1] * 255).astype(np.uint8)
    strip = Image.fromarray(np.repeat(table[:, None], 14, axis=1)).resize((14, side - 40))
    picture.paste(strip, (left, HEAD + 24))
    low, high = T1_WINDOW_MS
    draw.text((left, HEAD + 2), "T1, ms", "white", font)
    for value in np.linspace(high, low, 5):
        y = HEAD + 24 + (high - value) / (high - low) * (side - 40)
        draw.text((left + 18, y), f"{value:.0f}", "white", font, anchor="lm")
