"""One picture per slice of a fitted T1 map: T1 in the consensus colours, the goodness of fit beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure

from . import colours
from .overlay import NOTICE_COLOUR
from .slice_view import SliceView

_TICKS_MS = (700, 900, 1100, 1300, 1500, 1700, 2000)
_R2_WINDOW = (0.8, 1.0)


def write_t1_pictures(t1, r2, folder: Path, notice: str, title: str) -> list[str]:
    """Write t1_00.png … into `folder` and return their names.

    t1     T1Map; Lipari over 700–2000 ms, black where it holds no value
    r2     (S, R, C) goodness of fit, grey over 0.8–1
    """
    names = []
    for index, geometry in enumerate(t1.geometries):
        figure = Figure(figsize=(11, 6), dpi=100, facecolor="white")
        FigureCanvasAgg(figure)
        figure.text(
            0.5, 0.965, notice, ha="center", va="top", fontsize=14, weight="bold", color=NOTICE_COLOUR
        )
        text = f"Native T1, three-parameter Look-Locker fit · {title} · slice {index} of {t1.n_slices}"
        figure.text(0.5, 0.905, text, ha="center", va="top", fontsize=10)
        side = max(n * d for n, d in zip(geometry.shape, geometry.spacing))
        centre = (np.array(geometry.shape) - 1) / 2
        views = [
            SliceView(figure.add_axes((0.02 + 0.49 * k, 0.14, 0.47, 0.72)), geometry, centre, side)
            for k in range(2)
        ]
        valid = t1.values_ms[index] > 0
        views[0].colour(colours.colour_t1(t1.values_ms[index], valid))
        views[0].sides()
        views[1].grey(np.asarray(r2[index], dtype=float), _R2_WINDOW)
        low, high = colours.T1_WINDOW_MS
        table = ListedColormap(colours.lipari_table()[1:])
        _bar(figure, 0.06, Normalize(low, high), table, "T1 (ms)", _TICKS_MS)
        _bar(figure, 0.55, Normalize(*_R2_WINDOW), "gray", "R² of the fit", (0.8, 0.85, 0.9, 0.95, 1.0))
        names.append(f"t1_{index:02d}.png")
        figure.savefig(folder / names[-1], dpi=100, format="png")
    return names


def _bar(figure, left, norm, table, label, ticks) -> None:
    axes = figure.add_axes((left, 0.085, 0.39, 0.025))
    bar = figure.colorbar(ScalarMappable(norm, table), cax=axes, orientation="horizontal")
    bar.set_label(label, fontsize=9, labelpad=1)
    bar.ax.tick_params(labelsize=8, length=2)
    bar.set_ticks(ticks)
