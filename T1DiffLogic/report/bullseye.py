"""bullseye.png, thickening.png: AHA-16 bull's-eyes, anterior at the top, septum on the left."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Wedge

from ..study import RESEARCH_NOTICE, T1_SCALE_NOTICE
from . import colours
from .overlay import NOTICE_COLOUR

DPI = 100
_RADII = {"basal": (0.72, 1.0), "mid": (0.44, 0.72), "apical": (0.16, 0.44)}


def segment_wedge(number: int) -> tuple[str, float, float]:
    """Ring and start and end angle of AHA segment 1…16, degrees counter-clockwise from image right.

    Cerqueira et al., Circulation 2002;105:539: basal and mid in six, apical in four, the first of
    each ring anterior (at the top), the next towards the septum (on the left).
    """
    if not 1 <= number <= 16:
        raise ValueError(f"AHA segment {number} is outside 1…16.")
    if number <= 12:
        start = 60.0 + 60.0 * ((number - 1) % 6)
        return ("basal" if number <= 6 else "mid"), start % 360, start % 360 + 60
    start = 45.0 + 90.0 * (number - 13)
    return "apical", start % 360, start % 360 + 90


@dataclass(frozen=True)
class _Plate:
    """One bull's-eye: 16 values (None: not judged), their doubts, and what colour a value has."""

    title: str
    values: list[float | None]
    doubts: list[float | None]
    colour: Callable[[float], np.ndarray]

    def face(self, number: int) -> np.ndarray | None:
        """RGB of a segment, None for one that was not judged."""
        value = self.values[number - 1]
        return None if value is None else np.asarray(self.colour(value))[:3]


def write_bullseye(result: dict, path: Path) -> None:
    """Draw `result["segments"]`, and the native map's segments beside them when there is an agreement.

    result  what result.json holds; an empty segment is hatched and has no number
    """
    rows = result["segments"]
    plates = [
        _Plate("Synthetic T1", [r["mean_ms"] for r in rows], [r["uncertainty_ms"] for r in rows], _t1_colour)
    ]
    agreement = result.get("agreement")
    if agreement:
        native = [r["native_mean_ms"] for r in agreement["segments"]]
        plates.append(_Plate("Native T1 (measured)", native, [None] * 16, _t1_colour))
    subtitle = f"AHA-16, mean T1 in ms · {T1_SCALE_NOTICE} · trained on {result['provenance']['trained_on']}"
    bar = ScalarMappable(Normalize(*colours.T1_WINDOW_MS), ListedColormap(colours.lipari_table()[1:]))
    legend = "±: SD of the segment mean over the samples. Hatched: not judged or without pixels. "
    legend += "The apex (17) is left out."
    _draw(plates, subtitle, (bar, (700, 1000, 1300, 1600, 1900), "T1 (ms)"), legend, path)


def write_thickening(result: dict, path: Path) -> None:
    """Draw the systolic wall thickening of `result["segments"]`, percent of the wall at end-diastole."""
    values = [r["thickening_percent"] for r in result["segments"]]
    plate = _Plate("Systolic wall thickening", values, [None] * 16, colours.colour_thickening)
    subtitle = "AHA-16, thickening from end-diastole to end-systole in percent, from the contours"
    low, high = colours.THICKENING_WINDOW_PERCENT
    bar = ScalarMappable(Normalize(low, high), ListedColormap(colours.thickening_table()))
    legend = "Hatched: not measured. Twist is not followed, so the border of a scar may lie a sector off. "
    legend += "The apex (17) is left out."
    ticks = (low, 0, 25, 50, 75, high)
    _draw([plate], subtitle, (bar, ticks, "wall thickening (%)"), legend, path)


def _t1_colour(value_ms: float) -> np.ndarray:
    return colours.colour_t1(np.array(value_ms), np.array(True))[:3]


def _draw(plates: list[_Plate], subtitle: str, scale, legend: str, path: Path) -> None:
    """scale  (mappable, ticks, label) of the colour bar"""
    width, height = (1500 if len(plates) > 1 else 900), 960
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    size = 21 if len(plates) > 1 else 17
    figure.text(
        0.5, 0.985, RESEARCH_NOTICE, ha="center", va="top", fontsize=size, weight="bold", color=NOTICE_COLOUR
    )
    subtitle = textwrap.fill(subtitle, 160 if len(plates) > 1 else 100, max_lines=2, placeholder=" …")
    figure.text(0.5, 0.945, subtitle, ha="center", va="top", fontsize=12)
    for i, plate in enumerate(plates):
        _draw_plate(figure.add_axes((i / len(plates), 0.14, 1 / len(plates), 0.74)), plate)
    mappable, ticks, label = scale
    bar = figure.add_axes((0.5 - 260 / width, 0.085, 520 / width, 0.022))
    figure.colorbar(mappable, cax=bar, orientation="horizontal", ticks=ticks)
    bar.set_xlabel(label, fontsize=12)
    figure.text(0.5, 0.012, legend, ha="center", fontsize=10, color="0.3")
    figure.savefig(path, dpi=DPI, format="png")


def _draw_plate(axes, plate: _Plate) -> None:
    axes.set(xlim=(-1.28, 1.28), ylim=(-1.22, 1.28), aspect="equal")
    axes.axis("off")
    axes.set_title(plate.title, fontsize=15, weight="bold", pad=2)
    for number, (value, doubt) in enumerate(zip(plate.values, plate.doubts, strict=True), start=1):
        ring, start, end = segment_wedge(number)
        inner, outer = _RADII[ring]
        face = plate.face(number)
        style = {"facecolor": "0.85", "hatch": "///", "edgecolor": "0.55"}
        if face is not None:
            style = {"facecolor": tuple(face), "edgecolor": "white"}
        axes.add_patch(Wedge((0, 0), outer, start, end, width=outer - inner, linewidth=2, **style))
        ink = "black" if face is None else colours.text_colour(face)
        # the segment's number in the corner where its ring begins, clear of the value
        corner = np.radians(start + (8 if ring != "apical" else 12))
        at = (outer - 0.045) * np.cos(corner), (outer - 0.045) * np.sin(corner)
        axes.text(*at, str(number), fontsize=8, color=ink, ha="center", va="center")
        middle, radius = np.radians((start + end) / 2), (inner + outer) / 2
        at = radius * np.cos(middle), radius * np.sin(middle)
        if face is None:
            white = {"facecolor": "white", "linewidth": 0, "pad": 2}
            axes.text(*at, "–", ha="center", va="center", fontsize=15, color="black", bbox=white)
            continue
        text, place = f"{value:.0f}".replace("-", "−"), "bottom" if doubt is not None else "center"
        axes.text(*at, text, ha="center", va=place, fontsize=15, weight="bold", color=ink)
        if doubt is not None:
            axes.text(*at, f"±{doubt:.0f}", ha="center", va="top", fontsize=10, color=ink)
    for text, x, y, turn in (
        ("anterior", 0, 1.09, 0),
        ("septal", -1.1, 0, 90),
        ("inferior", 0, -1.09, 0),
        ("lateral", 1.1, 0, -90),
    ):
        axes.text(x, y, text, ha="center", va="center", rotation=turn, fontsize=13)
