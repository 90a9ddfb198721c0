"""The LV area curve with ED and ES, and the two frames that were chosen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..study import LV_CAVITY, LV_MYOCARDIUM, RV, Synthesis
from .slice_view import SliceView, field_around, shown_slices

ED_COLOUR, ES_COLOUR = "#1f5fa8", "#c0392b"


def write_phases(synthesis: Synthesis, path: Path) -> None:
    """Draw the LV cavity area over the cardiac cycle and, beside it, ED and ES of the middle LV slice."""
    phases, cine = synthesis.phases, synthesis.cine
    figure = Figure(figsize=(12, 3.6), dpi=100, facecolor="white")
    FigureCanvasAgg(figure)
    curve = figure.add_axes((0.065, 0.17, 0.4, 0.7))
    times = np.median(cine.trigger_ms, axis=0)
    if phases.area_mm2.size == times.size:
        curve.plot(times, phases.area_mm2 / 100, color="0.25", marker="o", markersize=4)
        curve.set_ylabel("LV cavity area, sum of mid slices (cm²)")
        curve.set_ylim(bottom=0)
    else:
        curve.set_yticks([])
        curve.text(0.5, 0.5, "no area curve was measured", transform=curve.transAxes, ha="center")
    for phase, name, colour in ((phases.ed, "ED", ED_COLOUR), (phases.es, "ES", ES_COLOUR)):
        curve.axvline(times[phase], color=colour, linewidth=1.5)
        curve.text(
            times[phase],
            1.02,
            f"{name} {phase}",
            color=colour,
            ha="center",
            weight="bold",
            transform=curve.get_xaxis_transform(),
        )
    curve.set_xlabel("time after the R wave (ms)")
    curve.spines[["top", "right"]].set_visible(False)
    rows = shown_slices(synthesis)
    index = rows[len(rows) // 2]
    field = field_around(synthesis, (RV, LV_MYOCARDIUM, LV_CAVITY))
    frames = (
        ("End-diastole", phases.ed, synthesis.segmentation.ed),
        ("End-systole", phases.es, synthesis.segmentation.es),
    )
    window = tuple(np.percentile(cine.images[:, [phases.ed, phases.es]], (1, 99.5)))
    for i, (title, phase, masks) in enumerate(frames):
        axes = figure.add_axes((0.49 + 0.255 * i, 0.06, 0.25, 0.83))
        view = SliceView(axes, cine.geometries[index], field.centres[index], field.side_mm)
        view.grey(cine.images[index, phase], window)
        view.contours(masks[index])
        view.sides()
        axes.set_title(f"{title}, slice {index}, phase {phase}", fontsize=11)
    figure.savefig(path, dpi=100, format="png")
