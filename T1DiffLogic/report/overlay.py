"""overlay.png: every LV slice from base to apex, cine at ED and ES, the T1 map over it, its doubt."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure

from ..study import LV_CAVITY, LV_MYOCARDIUM, RESEARCH_NOTICE, RV, T1_SCALE_NOTICE, Synthesis
from . import colours
from .slice_view import SliceView, field_around, shown_slices

WIDTH_PX, DPI = 1600, 100
NOTICE_COLOUR = "#a61c1c"
_LEFT, _RIGHT, _GAP = 92, 16, 6
_TICKS = {
    "T1": (700, 1000, 1300, 1600, 1900),
    "SD": (0, 50, 100, 150),
    "Difference": (-300, -150, 0, 150, 300),
}
_MAP_BACKGROUND = 0.45
_TOP, _BOTTOM = 132, 160


def write_overlay(synthesis: Synthesis, path: Path) -> None:
    """Draw the overlay into `path` (PNG, 1600 px wide): one row per LV slice, base first.

    Columns: cine ED and ES with contours, synthetic T1 in the myocardium, its SD; with a native
    map also the native T1 and the difference synthetic − native. Slices that were not judged are
    hatched and show no value.
    """
    draws = [_draw_ed, _draw_es, _draw_t1, _draw_sd]
    titles = ["Cine, end-diastole", "Cine, end-systole", "Synthetic T1", "SD of the synthetic T1"]
    bars = [None, None, ("T1", colours.lipari_table(), colours.T1_WINDOW_MS)]
    bars += [("SD", colours.sd_table(), colours.SD_WINDOW_MS)]
    if synthesis.native_ms is not None:
        draws += [_draw_native, _draw_difference]
        titles += ["Native T1 (measured)", "Synthetic − native"]
        bars += [("T1", colours.lipari_table(), colours.T1_WINDOW_MS)]
        bars += [("Difference", colours.difference_table(), colours.DIFFERENCE_WINDOW_MS)]
    rows, columns = shown_slices(synthesis), len(draws)
    # few columns would make tiles so large that the picture gets longer than anybody scrolls
    tile = min((WIDTH_PX - _LEFT - _RIGHT - (columns - 1) * _GAP) // columns, 290)
    left = _LEFT + (WIDTH_PX - _LEFT - _RIGHT - columns * tile - (columns - 1) * _GAP) // 2
    height = _TOP + len(rows) * (tile + _GAP) + _BOTTOM
    figure = Figure(figsize=(WIDTH_PX / DPI, height / DPI), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)

    def axes_at(x, y, width, tall):
        return figure.add_axes((x / WIDTH_PX, 1 - (y + tall) / height, width / WIDTH_PX, tall / height))

    _heading(figure, synthesis, height)
    window = _cine_window(synthesis)
    heart = field_around(synthesis, (RV, LV_MYOCARDIUM, LV_CAVITY))
    # the maps show the wall alone, so they come closer than the cine
    ventricle = field_around(synthesis, (LV_MYOCARDIUM, LV_CAVITY))
    for column, title in enumerate(titles):
        x = left + column * (tile + _GAP) + tile / 2
        figure.text(
            x / WIDTH_PX, 1 - (_TOP - 8) / height, title, ha="center", va="bottom", fontsize=12, weight="bold"
        )
    for r, index in enumerate(rows):
        y = _TOP + r * (tile + _GAP)
        level = synthesis.slices[index].level or "outside LV"
        label = f"{level}\nslice {index}" + ("\n(flagged)" if synthesis.slices[index].flags else "")
        figure.text(
            (left - 10) / WIDTH_PX, 1 - (y + tile / 2) / height, label, ha="right", va="center", fontsize=12
        )
        for c, draw in enumerate(draws):
            axes = axes_at(left + c * (tile + _GAP), y, tile, tile)
            field = heart if c < 2 else ventricle
            view = SliceView(axes, synthesis.cine.geometries[index], field.centres[index], field.side_mm)
            draw(view, synthesis, index, window)
    for c, bar in enumerate(bars):
        if bar is not None:
            axes = axes_at(left + c * (tile + _GAP) + 20, height - _BOTTOM + 10, tile - 40, 16)
            _colour_bar(figure, axes, *bar)
    _footer(figure, synthesis, rows, height)
    figure.savefig(path, dpi=DPI, format="png")


def _heading(figure, synthesis, height) -> None:
    phases = synthesis.phases
    figure.text(
        0.5,
        1 - 14 / height,
        RESEARCH_NOTICE,
        ha="center",
        va="top",
        fontsize=19,
        weight="bold",
        color=NOTICE_COLOUR,
    )
    trained_on = synthesis.provenance["trained_on"]
    line = f"Synthetic native T1 from cine · {T1_SCALE_NOTICE} · trained on {trained_on}"
    line = textwrap.shorten(line, 160, placeholder=" …")
    figure.text(0.5, 1 - 48 / height, line, ha="center", va="top", fontsize=13)
    times = np.median(synthesis.cine.trigger_ms, axis=0)
    ed, es = (f"{name} phase {p} ({times[p]:.0f} ms)" for name, p in (("ED", phases.ed), ("ES", phases.es)))
    samples = len(synthesis.samples_ms)
    line = f"{ed} · {es} · {phases.count} phases · mean of {samples} sample{'s' if samples != 1 else ''}"
    figure.text(0.5, 1 - 74 / height, line, ha="center", va="top", fontsize=11, color="0.3")


def _footer(figure, synthesis, rows, height) -> None:
    lines = [
        "Contours: red endocardium, green epicardium, blue RV. Yellow ticks: RV insertion points, "
        "a anterior, i inferior. Letters: side of the patient (A anterior, P posterior, L left, R right, "
        "H head, F foot). Maps show the LV myocardium at ED; T1 below the window takes the darkest colour."
    ]
    if any(synthesis.slices[i].flags for i in rows):
        lines.append("Flagged: see the table of slices in report.html.")
    outside = [s.index for s in synthesis.slices if s.index not in rows]
    if outside:
        lines.append(f"Outside the LV and not shown: slice {', '.join(map(str, outside))}.")
    text = "\n".join(wrapped for line in lines for wrapped in textwrap.wrap(line, 205))
    figure.text(
        0.5, (_BOTTOM - 80) / height, text, ha="center", va="top", fontsize=10, color="0.3", linespacing=1.5
    )


def _cine_window(synthesis) -> tuple[float, float]:
    """Grey levels that keep blood and myocardium apart: 1st and 99.5th percentile around the heart."""
    phases, images = synthesis.phases, synthesis.cine.images
    return tuple(np.percentile(images[:, [phases.ed, phases.es]], (1, 99.5)))


def _colour_bar(figure, axes, name, table, window) -> None:
    # entry 0 means "no value" and is not part of the scale
    mappable = ScalarMappable(Normalize(*window), ListedColormap(table[1:]))
    bar = figure.colorbar(mappable, cax=axes, orientation="horizontal")
    bar.set_label(f"{name} (ms)", fontsize=11, labelpad=2)
    bar.ax.tick_params(labelsize=10, length=3)
    bar.outline.set_linewidth(0.5)
    bar.set_ticks(_TICKS[name])


def _draw_ed(view, synthesis, index, window) -> None:
    masks = synthesis.segmentation.ed[index]
    view.grey(synthesis.cine.images[index, synthesis.phases.ed], window)
    view.contours(masks)
    view.insertions(synthesis.segmentation.rv_insertions[index], masks[LV_CAVITY])
    view.sides()


def _draw_es(view, synthesis, index, window) -> None:
    view.grey(synthesis.cine.images[index, synthesis.phases.es], window)
    view.contours(synthesis.segmentation.es[index])


def _draw_map(view, synthesis, index, window, rgba) -> None:
    report = synthesis.slices[index]
    if not report.valid:
        view.not_judged([textwrap.fill(flag, 34) for flag in report.flags])
        return
    view.grey(synthesis.cine.images[index, synthesis.phases.ed], window, _MAP_BACKGROUND)
    view.colour(rgba)
    view.wall(synthesis.segmentation.ed[index])


def _myocardium(synthesis, index) -> np.ndarray:
    wall = synthesis.segmentation.labels_ed[index] == LV_MYOCARDIUM
    return wall & (synthesis.valid[index] > 0)


def _draw_t1(view, synthesis, index, window) -> None:
    rgba = colours.colour_t1(synthesis.t1_ms[index], _myocardium(synthesis, index))
    _draw_map(view, synthesis, index, window, rgba)


def _draw_sd(view, synthesis, index, window) -> None:
    rgba = colours.colour_sd(synthesis.sd_ms[index], _myocardium(synthesis, index))
    _draw_map(view, synthesis, index, window, rgba)


def _draw_native(view, synthesis, index, window) -> None:
    """The measured map does not depend on the model's judgement and is shown wherever it exists."""
    native = synthesis.native_ms[index]
    there = (synthesis.segmentation.labels_ed[index] == LV_MYOCARDIUM) & (native > 0)
    view.grey(synthesis.cine.images[index, synthesis.phases.ed], window, _MAP_BACKGROUND)
    view.colour(colours.colour_t1(native, there))
    view.wall(synthesis.segmentation.ed[index])
    if not there.any():
        view.caption("no native map here")


def _draw_difference(view, synthesis, index, window) -> None:
    native = synthesis.native_ms[index]
    both = _myocardium(synthesis, index) & (native > 0)
    rgba = colours.colour_difference(synthesis.t1_ms[index] - native, both)
    _draw_map(view, synthesis, index, window, rgba)
    if synthesis.slices[index].valid and not both.any():
        view.caption("no native map here")
