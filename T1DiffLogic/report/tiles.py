"""The slices of report.html, base to apex: images as they were acquired, contours and letters as vectors.

Every tile is an inline SVG in mm of its own slice (x along the row, y along the column, the centre of the
first pixel at 0, 0): print is as sharp as the screen, and a cine frame is held once for all that lies on it.
"""

from __future__ import annotations

import base64
import io
from html import escape

import numpy as np
from contourpy import contour_generator
from PIL import Image

from ..nrrd_files import LABEL_COLOURS
from ..study import LV_CAVITY, LV_MYOCARDIUM, RV, Synthesis
from . import colours
from .slice_view import Field, field_around, orientation_letters, shown_slices

DIMMED = 0.45
"""Of a cine frame's brightness under a map, as in overlay.png."""


def titles_of(synthesis: Synthesis) -> list[str]:
    """The columns."""
    compared = ["native T1 (measured)", "synthetic − native"] if synthesis.native_ms is not None else []
    return ["ED", "ES", "synthetic T1", "SD", *compared]


def slice_table(synthesis: Synthesis) -> str:
    """A table: ED, ES, synthetic T1, its SD and, with a native map, that and the difference, per LV slice."""
    titles = titles_of(synthesis)
    head = "".join(f"<th>{escape(title)}</th>" for title in titles)
    drawer = _Drawer(synthesis)
    rows = "".join(drawer.row(index, titles) for index in shown_slices(synthesis))
    return f"<table class='slices'><thead><tr><th>slice</th>{head}</tr></thead><tbody>{rows}</tbody></table>"


def tile_side_mm(synthesis: Synthesis, room_mm: tuple[float, float]) -> float:
    """How large the tiles may be printed so that all rows and columns fit into (width, height) mm."""
    rows = len(shown_slices(synthesis))
    return min(room_mm[0] / len(titles_of(synthesis)), room_mm[1] / rows, 40.0)


class _Drawer:
    """What the tiles of one study have in common: grey levels and the squares that are cut out."""

    def __init__(self, synthesis: Synthesis):
        self.synthesis = synthesis
        phases, images = synthesis.phases, synthesis.cine.images
        self.window = np.percentile(images[:, [phases.ed, phases.es]], (1, 99.5))
        self.heart = field_around(synthesis, (RV, LV_MYOCARDIUM, LV_CAVITY))
        # the maps show the wall alone, so they come closer than the cine
        self.ventricle = field_around(synthesis, (LV_MYOCARDIUM, LV_CAVITY))

    def row(self, index: int, titles: list[str]) -> str:
        study, phases = self.synthesis, self.synthesis.phases
        report = study.slices[index]
        ed, es = study.segmentation.ed[index], study.segmentation.es[index]
        frames = {name: study.cine.images[index, getattr(phases, name)] for name in ("ed", "es")}
        sides = self._sides(index)
        insertions = self._insertions(index)
        cells = [
            self._tile(
                self.heart, index, self._frame(frames["ed"], index, "e") + _contours(self, index, ed), sides,
                insertions,
            ),
            self._tile(self.heart, index, self._frame(frames["es"], index) + _contours(self, index, es)),
        ]  # fmt: skip
        wall = (study.segmentation.labels_ed[index] == LV_MYOCARDIUM) & (study.valid[index] > 0)
        t1, sd = study.t1_ms[index], study.sd_ms[index]
        cells.append(self._map(index, colours.colour_t1(t1, wall), report.valid, first=True))
        cells.append(self._map(index, colours.colour_sd(sd, wall), report.valid))
        if study.native_ms is not None:
            native = study.native_ms[index]
            # the measured map does not depend on the model's judgement and is shown wherever it exists
            there = (study.segmentation.labels_ed[index] == LV_MYOCARDIUM) & (native > 0)
            cells.append(self._map(index, colours.colour_t1(native, there), True, empty=not there.any()))
            both = wall & (native > 0)
            shown = colours.colour_difference(t1 - native, both)
            cells.append(self._map(index, shown, report.valid, empty=not both.any()))
        level = report.level or "outside the LV"
        mark = "" if report.valid else "<br><b>not judged</b>"
        mark = mark or ("<br>flagged" if report.flags else "")
        tds = "".join(
            f"<td>{cell.format(label=escape(f'slice {index}, {level}: {title}', quote=True))}</td>"
            for cell, title in zip(cells, titles, strict=True)
        )
        return f"<tr><th><b>{index}</b> {escape(level)}{mark}</th>{tds}</tr>"

    def _tile(self, field: Field, index: int, *content: str) -> str:
        """`{label}` is left to fill in."""
        row, column = field.centres[index] * self._spacing(index)
        half = field.side_mm / 2
        box = f"{column - half:.1f} {row - half:.1f} {2 * half:.1f} {2 * half:.1f}"
        return f"<svg viewBox='{box}' role='img' aria-label='{{label}}'>{''.join(content)}</svg>"

    def _map(self, index: int, rgba, judged: bool, first: bool = False, empty: bool = False) -> str:
        under = f"<use href='#e{index}' opacity='{DIMMED}'/>"
        wall = _wall(self, index)
        # the first map of a row holds the wall's outline for the others
        wall = f"<g id='w{index}'>{wall}</g>" if first else f"<use href='#w{index}'/>"
        if judged and not empty:
            return self._tile(self.ventricle, index, under, self._image(rgba, index, "map"), wall)
        said = "no native map" if judged else "not judged"
        row, column = self.ventricle.centres[index] * self._spacing(index)
        size = self.ventricle.side_mm / 9
        text = f"<text class='said' x='{column:.1f}' y='{row:.1f}' font-size='{size:.1f}'>{said}</text>"
        return self._tile(self.ventricle, index, under, wall, text)

    def _frame(self, frame, index: int, name: str = "") -> str:
        low, high = self.window
        grey = np.clip((frame - low) / max(high - low, 1e-6) * 255, 0, 255).astype(np.uint8)
        return self._image(grey, index, name=f"{name}{index}" if name else "")

    def _image(self, pixels, index: int, kind: str = "", name: str = "") -> str:
        """The part of an (R, C) uint8 or (R, C, 4) 0…1 image that a tile of this slice can show."""
        dy, dx = self._spacing(index)
        top, left, bottom, right = self._crop(index)
        part = pixels[top:bottom, left:right]
        if part.ndim == 3:
            part = np.round(part * 255).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(part)).save(buffer, "png")
        data = base64.b64encode(buffer.getvalue()).decode("ascii")
        x, y = (left - 0.5) * dx, (top - 0.5) * dy
        size = f"width='{(right - left) * dx:.2f}' height='{(bottom - top) * dy:.2f}'"
        mark = (f" id='{name}'" if name else "") + (f" class='{kind}'" if kind else "")
        return (
            f"<image{mark} x='{x:.2f}' y='{y:.2f}' {size} preserveAspectRatio='none' "
            f"href='data:image/png;base64,{data}'/>"
        )

    def _crop(self, index: int) -> tuple[int, int, int, int]:
        """top, left, bottom, right in pixels: what both squares show, and a pixel more."""
        low, high = np.full(2, np.inf), np.full(2, -np.inf)
        for field in (self.heart, self.ventricle):
            half = field.side_mm / 2 / self._spacing(index)
            low = np.minimum(low, field.centres[index] - half)
            high = np.maximum(high, field.centres[index] + half)
        shape = np.array(self.synthesis.cine.geometries[index].shape)
        top, left = np.clip(np.floor(low) - 1, 0, shape - 1).astype(int)
        bottom, right = np.clip(np.ceil(high) + 2, [top + 1, left + 1], shape).astype(int)
        return top, left, bottom, right

    def _spacing(self, index: int) -> np.ndarray:
        return np.array(self.synthesis.cine.geometries[index].spacing)

    def _sides(self, index: int) -> str:
        """Which side of the patient each edge of the picture is."""
        geometry, half = self.synthesis.cine.geometries[index], self.heart.side_mm / 2
        row, column = self.heart.centres[index] * self._spacing(index)
        size, edge = self.heart.side_mm / 11, self.heart.side_mm / 60
        right, down = geometry.row_direction, geometry.column_direction
        parts = []
        for direction, x, y, anchor in (
            (right, column + half - edge, row + size / 3, "end"),
            (-right, column - half + edge, row + size / 3, "start"),
            (-down, column, row - half + size, "middle"),
            (down, column, row + half - edge * 2, "middle"),
        ):
            letters = orientation_letters(direction)
            parts.append(f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}'>{letters}</text>")
        return f"<g class='sides' font-size='{size:.1f}'>{''.join(parts)}</g>"

    def _insertions(self, index: int) -> str:
        """A tick across the wall at the RV insertion points of the slice, a anterior and i inferior."""
        spacing = self._spacing(index)
        found = np.argwhere(self.synthesis.segmentation.ed[index, LV_CAVITY] > 0.5)
        if not len(found):
            return ""
        centre, parts = found.mean(axis=0) * spacing, []
        points = self.synthesis.segmentation.rv_insertions[index] * spacing
        for point, letter in zip(points, "ai", strict=True):
            if not np.isfinite(point).all():
                continue
            outward = (point - centre) / max(float(np.linalg.norm(point - centre)), 1e-6)
            (y0, x0), (y1, x1), (y, x) = point - 5 * outward, point + 5 * outward, point + 11 * outward
            size = self.heart.side_mm / 11
            parts.append(f"<path d='M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}'/>")
            parts.append(f"<text x='{x:.1f}' y='{y + size / 3:.1f}' font-size='{size:.1f}'>{letter}</text>")
        return f"<g class='insertions'>{''.join(parts)}</g>"


def _contours(drawer: _Drawer, index: int, masks) -> str:
    """RV, epicardium and endocardium at one half of (4, R, C) soft masks, in their colours."""
    return "".join(
        _outline(drawer, index, mask, LABEL_COLOURS[label])
        for mask, label in (
            (masks[RV], RV),
            (masks[LV_MYOCARDIUM] + masks[LV_CAVITY], LV_MYOCARDIUM),
            (masks[LV_CAVITY], LV_CAVITY),
        )
    )


def _wall(drawer: _Drawer, index: int) -> str:
    masks = drawer.synthesis.segmentation.ed[index]
    both = (masks[LV_MYOCARDIUM] + masks[LV_CAVITY], masks[LV_CAVITY])
    return "".join(_outline(drawer, index, mask, (1.0, 1.0, 1.0)) for mask in both)


def _outline(drawer: _Drawer, index: int, mask, colour) -> str:
    if not mask.max() > 0.5 > mask.min():
        return ""
    dy, dx = drawer._spacing(index)
    lines = contour_generator(z=mask).lines(0.5)
    path = "".join("M" + "L".join(f"{c * dx:.1f} {r * dy:.1f}" for c, r in line) for line in lines)
    red, green, blue = (round(255 * float(v)) for v in colour[:3])
    return f"<path class='line' stroke='#{red:02x}{green:02x}{blue:02x}' d='{path}'/>"
