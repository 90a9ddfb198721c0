"""How one short-axis slice is drawn: cut out around the heart, in mm, with contours and patient sides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from ..nrrd_files import LABEL_COLOURS
from ..study import LV_CAVITY, LV_MYOCARDIUM, RV, SliceGeometry, Synthesis

MARGIN_MM = 8.0
FIELD_LIMITS_MM = (60.0, 160.0)
_SIDES = (("L", "R"), ("P", "A"), ("H", "F"))


def orientation_letters(direction) -> str:
    """The sides of the patient that an LPS `direction` points to, the strongest first: "L", "PL", "AHR".

    As DICOM Patient Orientation (0020,0020): L R, P A, H (head) F (foot); parts below 0.35 are left out.
    """
    direction = np.asarray(direction, dtype=np.float64)
    order = [i for i in np.argsort(-np.abs(direction)) if abs(direction[i]) >= 0.35]
    return "".join(_SIDES[i][0 if direction[i] > 0 else 1] for i in order)


def shown_slices(synthesis: Synthesis) -> list[int]:
    """Slices of the LV from base to apex; every slice when none belongs to the LV."""
    inside = [s.index for s in synthesis.slices if s.level is not None]
    if not inside:
        return [s.index for s in synthesis.slices]
    rank = {"basal": 0, "mid": 1, "apical": 2}
    ranks = [rank[synthesis.slices[i].level] for i in inside]
    # the stack is sorted along its normal, which points to the base or to the apex
    towards_base = np.corrcoef(inside, ranks)[0, 1] < 0 if len(set(ranks)) > 1 else False
    return inside[::-1] if towards_base else inside


@dataclass(frozen=True)
class Field:
    """The square that is cut out of every slice: its centre in each slice (row, column), its side in mm."""

    centres: dict[int, np.ndarray]
    side_mm: float


def field_around(synthesis: Synthesis, labels: tuple[int, ...]) -> Field:
    """The square around `labels` at ED in every slice: one size, centred on one axis through the stack."""
    found, geometries = synthesis.segmentation.labels_ed, synthesis.cine.geometries
    corners = []
    for s, geometry in enumerate(geometries):
        pixels = np.argwhere(np.isin(found[s], labels))
        if len(pixels):
            corners.append(geometry.to_patient(np.array([pixels.min(axis=0), pixels.max(axis=0)])))
    if not corners:
        side = max(g.spacing[i] * g.shape[i] for g in geometries for i in (0, 1))
        return Field({s: (np.array(g.shape) - 1) / 2 for s, g in enumerate(geometries)}, side)
    middle = geometries[len(geometries) // 2]
    box = middle.to_pixel(np.concatenate(corners))
    low, high = box.min(axis=0), box.max(axis=0)
    centre = middle.to_patient((low + high) / 2)
    side = float(((high - low) * middle.spacing).max()) + 2 * MARGIN_MM
    return Field(
        {s: g.to_pixel(centre) for s, g in enumerate(geometries)}, float(np.clip(side, *FIELD_LIMITS_MM))
    )


class SliceView:
    """One axes, in mm, showing the same square of one slice as its neighbours in the row."""

    def __init__(self, axes: Axes, geometry: SliceGeometry, centre, side_mm: float):
        self.axes, self.geometry = axes, geometry
        row, column = (float(v) for v in centre)
        dy, dx = geometry.spacing
        rows, columns = geometry.shape
        # mm from the centre of the square; pixel centres lie on the grid, so images reach half a pixel out
        self.x = (np.arange(columns) - column) * dx
        self.y = (np.arange(rows) - row) * dy
        self.extent = (self.x[0] - dx / 2, self.x[-1] + dx / 2, self.y[-1] + dy / 2, self.y[0] - dy / 2)
        self.half = side_mm / 2
        axes.set_facecolor("black")
        axes.set(
            xlim=(-self.half, self.half), ylim=(self.half, -self.half), xticks=[], yticks=[], aspect="equal"
        )
        for spine in axes.spines.values():
            spine.set_visible(False)

    def grey(self, image, window, brightness: float = 1.0) -> None:
        """A cine frame between the two grey levels of `window`, dimmed by `brightness` under a map."""
        top = window[0] + (window[1] - window[0]) / brightness
        self.axes.imshow(
            np.minimum(image, window[1]),
            cmap="gray",
            vmin=window[0],
            vmax=top,
            extent=self.extent,
            interpolation="bicubic",
        )

    def colour(self, rgba) -> None:
        """A coloured map, pixel by pixel as it was computed."""
        self.axes.imshow(rgba, extent=self.extent, interpolation="nearest")

    def contours(self, masks) -> None:
        """Endocardium, epicardium and RV at one half of the (4, R, C) soft masks, in their colours."""
        self._outline(masks, {label: LABEL_COLOURS[label] for label in LABEL_COLOURS}, 1.3)

    def wall(self, masks) -> None:
        """Endocardium and epicardium in white, which no map colour takes."""
        self._outline(masks, {LV_MYOCARDIUM: "white", LV_CAVITY: "white"}, 0.8)

    def _outline(self, masks, line_colours, width) -> None:
        for mask, label in (
            (masks[RV], RV),
            (masks[LV_MYOCARDIUM] + masks[LV_CAVITY], LV_MYOCARDIUM),
            (masks[LV_CAVITY], LV_CAVITY),
        ):
            if label in line_colours and mask.max() > 0.5 > mask.min():
                self.axes.contour(
                    self.x, self.y, mask, levels=[0.5], colors=[line_colours[label]], linewidths=width
                )

    def insertions(self, points, cavity) -> None:
        """A tick across the wall at the anterior and inferior RV insertion, if the slice has them.

        points  (2, 2) row, column;  cavity  (R, C) mask that says where inside is
        """
        found = np.argwhere(cavity > 0.5)
        if not len(found):
            return
        spacing = np.array(self.geometry.spacing)
        centre = found.mean(axis=0)
        for point, letter in zip(np.asarray(points), "ai", strict=True):
            if not np.isfinite(point).all():
                continue
            outward = (point - centre) * spacing
            outward /= max(float(np.linalg.norm(outward)), 1e-6)
            at = np.array(
                [
                    np.interp(point[0], np.arange(len(self.y)), self.y),
                    np.interp(point[1], np.arange(len(self.x)), self.x),
                ]
            )
            (y0, x0), (y1, x1) = at - 4 * outward, at + 4 * outward
            self.axes.plot([x0, x1], [y0, y1], color="yellow", linewidth=1.8, solid_capstyle="butt")
            y, x = at + 8 * outward
            self.axes.text(x, y, letter, color="yellow", fontsize=8, ha="center", va="center", weight="bold")

    def sides(self) -> None:
        """Which side of the patient each edge of the picture is."""
        right, down = self.geometry.row_direction, self.geometry.column_direction
        for direction, x, y, ha, va in (
            (right, 0.985, 0.5, "right", "center"),
            (-right, 0.015, 0.5, "left", "center"),
            (-down, 0.5, 0.985, "center", "top"),
            (down, 0.5, 0.015, "center", "bottom"),
        ):
            letters = orientation_letters(direction)
            self.axes.text(
                x,
                y,
                letters,
                transform=self.axes.transAxes,
                ha=ha,
                va=va,
                color="white",
                fontsize=9,
                weight="bold",
                bbox={"facecolor": "black", "alpha": 0.45, "pad": 1, "linewidth": 0},
            )

    def caption(self, text: str) -> None:
        """A line at the lower edge."""
        self.axes.text(0.5, 0.05, text, transform=self.axes.transAxes, ha="center", color="white", fontsize=9)

    def not_judged(self, reasons) -> None:
        """Hatch the whole picture, so that nobody reads a value where there is none."""
        self.axes.add_patch(
            Rectangle(
                (0, 0),
                1,
                1,
                transform=self.axes.transAxes,
                facecolor="0.25",
                edgecolor="0.6",
                hatch="//",
                linewidth=0,
                zorder=5,
            )
        )
        text = "\n".join(["not judged", *reasons])
        self.axes.text(
            0.5,
            0.5,
            text,
            transform=self.axes.transAxes,
            ha="center",
            va="center",
            color="white",
            fontsize=10,
            zorder=6,
            wrap=True,
            bbox={"facecolor": "black", "alpha": 0.75, "pad": 4, "linewidth": 0},
        )
