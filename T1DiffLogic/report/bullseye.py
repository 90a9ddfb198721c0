"""bullseye.png: the AHA-16 bull's-eye of mean T1, anterior at the top, septum on the left."""

from __future__ import annotations

import textwrap
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


def write_bullseye(result: dict, path: Path) -> None:
    """Draw `result["segments"]`, and the native map's segments beside them when there is an agreement.

    result  what result.json holds; an empty segment is hatched and has no number
    """
    rows = result["segments"]
    plates = [("Synthetic T1", [(r["mean_ms"], r["uncertainty_ms"]) for r in rows])]
    agreement = result.get("agreement")
    if agreement:
        native = [(r["native_mean_ms"], None) for r in agreement["segments"]]
        plates.append(("Native T1 (measured)", native))
    width, height = (1500 if agreement else 900), 960
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    size = 21 if agreement else 17
    figure.text(
        0.5, 0.985, RESEARCH_NOTICE, ha="center", va="top", fontsize=size, weight="bold", color=NOTICE_COLOUR
    )
    subtitle = f"AHA-16, mean T1 in ms · {T1_SCALE_NOTICE} · trained on {result['provenance']['trained_on']}"
    subtitle = textwrap.fill(subtitle, 160 if agreement else 100, max_lines=2, placeholder=" …")
    figure.text(0.5, 0.945, subtitle, ha="center", va="top", fontsize=12)
    for i, (title, values) in enumerate(plates):
        axes = figure.add_axes((i / len(plates), 0.14, 1 / len(plates), 0.74))
        _plate(axes, title, values)
    bar = figure.add_axes((0.5 - 260 / width, 0.085, 520 / width, 0.022))
    mappable = ScalarMappable(Normalize(*colours.T1_WINDOW_MS), ListedColormap(colours.lipari_table()[1:]))
    figure.colorbar(mappable, cax=bar, orientation="horizontal", ticks=(700, 1000, 1300, 1600, 1900))
    bar.set_xlabel("T1 (ms)", fontsize=12)
    legend = "±: SD of the segment mean over the samples. Hatched: not judged or without pixels. "
    legend += "The apex (17) is left out."
    figure.text(0.5, 0.012, legend, ha="center", fontsize=10, color="0.3")
    figure.savefig(path, dpi=DPI, format="png")


def _plate(axes, title: str, values) -> None:
    axes.set(xlim=(-1.28, 1.28), ylim=(-1.22, 1.28), aspect="equal")
    axes.axis("off")
    axes.set_title(title, fontsize=15, weight="bold", pad=2)
    for number, (mean, doubt) in enumerate(values, start=1):
        ring, start, end = segment_wedge(number)
        inner, outer = _RADII[ring]
        style = {"facecolor": "0.85", "hatch": "///", "edgecolor": "0.55"}
        colour = (1.0, 1.0, 1.0)
        if mean is not None:
            colour = colours.colour_t1(np.array(mean), np.array(True))[:3]
            style = {"facecolor": tuple(colour), "edgecolor": "white"}
        axes.add_patch(Wedge((0, 0), outer, start, end, width=outer - inner, linewidth=2, **style))
        middle, radius = np.radians((start + end) / 2), (inner + outer) / 2
        at = radius * np.cos(middle), radius * np.sin(middle)
        ink = colours.text_colour(colour)
        if mean is None:
            axes.text(
                *at,
                "–",
                ha="center",
                va="center",
                fontsize=15,
                color="black",
                bbox={"facecolor": "white", "linewidth": 0, "pad": 2},
            )
            continue
        axes.text(
            *at,
            f"{mean:.0f}",
            ha="center",
            va="bottom" if doubt is not None else "center",
            fontsize=15,
            weight="bold",
            color=ink,
        )
        if doubt is not None:
            axes.text(*at, f"±{doubt:.0f}", ha="center", va="top", fontsize=10, color=ink)
    for number in range(1, 17):
        ring, start, end = segment_wedge(number)
        inner, outer = _RADII[ring]
        # the segment's number in the corner where its ring begins, clear of the value
        angle = np.radians(start + (8 if ring != "apical" else 12))
        radius = outer - 0.045
        mean = values[number - 1][0]
        ink = (
            "black"
            if mean is None
            else colours.text_colour(colours.colour_t1(np.array(mean), np.array(True)))
        )
        axes.text(
            radius * np.cos(angle),
            radius * np.sin(angle),
            str(number),
            fontsize=8,
            color=ink,
            ha="center",
            va="center",
        )
    for text, x, y, turn in (
        ("anterior", 0, 1.09, 0),
        ("septal", -1.1, 0, 90),
        ("inferior", 0, -1.09, 0),
        ("lateral", 1.1, 0, -90),
    ):
        axes.text(x, y, text, ha="center", va="center", rotation=turn, fontsize=13)
