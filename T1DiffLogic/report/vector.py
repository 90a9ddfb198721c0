"""Bull's-eyes, their colour bars and the area curve of report.html as inline SVG."""

from __future__ import annotations

from html import escape

import numpy as np

from ..study import Synthesis
from . import colours
from .bullseye import segment_wedge

_RADII = {"basal": (72, 100), "mid": (44, 72), "apical": (14, 44)}
_STEPS = 64
ED_COLOUR, ES_COLOUR = "#1f5fa8", "#c0392b"


def hexadecimal(rgb) -> str:
    """#rrggbb of an RGB in 0…1."""
    return "#" + "".join(f"{round(255 * float(v)):02x}" for v in np.asarray(rgb)[:3])


def bullseye(values, colour, doubts=None, label: str = "", unit: str = "") -> str:
    """AHA-16, anterior at the top and the septum on the left; a segment without a value is hatched.

    values  16 numbers or None, printed whole;  colour(value) -> RGB;  doubts  16 numbers or None, "±"
    unit    said to those who cannot see the plate
    """
    parts = []
    for number, value in enumerate(values, start=1):
        ring, start, end = segment_wedge(number)
        face = None if value is None else np.asarray(colour(value))[:3]
        fill = "url(#hatch)" if face is None else hexadecimal(face)
        ink = "black" if face is None else colours.text_colour(face)
        told = "not judged" if value is None else f"{value:.0f} {unit}".strip()
        parts.append(
            f"<path d='{_wedge(ring, start, end)}' fill='{fill}'><title>{number}: {told}</title></path>"
        )
        inner, outer = _RADII[ring]
        x, y = _at((inner + outer) / 2, (start + end) / 2)
        doubt = None if doubts is None else doubts[number - 1]
        text = "–" if value is None else f"{value:.0f}".replace("-", "−")
        below = value is not None and doubt is not None
        parts.append(f"<text x='{x:.1f}' y='{y + (1 if below else 4):.1f}' fill='{ink}'>{text}</text>")
        if below:
            parts.append(
                f"<text class='doubt' x='{x:.1f}' y='{y + 9.5:.1f}' fill='{ink}'>±{doubt:.0f}</text>"
            )
        x, y = _at(outer - 5.5, start + (8 if ring != "apical" else 13))
        parts.append(f"<text class='number' x='{x:.1f}' y='{y + 2:.1f}' fill='{ink}'>{number}</text>")
    for text, x, y, turn in (
        ("anterior", 0, -104, 0), ("septal", -104, 0, -90), ("inferior", 0, 112, 0), ("lateral", 104, 0, 90),
    ):  # fmt: skip
        parts.append(f"<text class='wall' transform='translate({x} {y}) rotate({turn})'>{text}</text>")
    return (
        f"<svg class='bullseye' viewBox='-114 -114 228 230' role='img' "
        f"aria-label='{escape(label, quote=True)}'>{''.join(parts)}</svg>"
    )


def hatch() -> str:
    """The pattern of segments without a value, once on the page."""
    return (
        "<svg class='hidden' aria-hidden='true'><defs><pattern id='hatch' width='5' height='5' "
        "patternUnits='userSpaceOnUse' patternTransform='rotate(45)'><rect width='5' height='5' fill='#ddd'/>"
        "<rect width='1.2' height='5' fill='#999'/></pattern></defs></svg>"
    )


def bar(table, window, ticks, label: str) -> str:
    """A horizontal colour bar with its ticks and its label."""
    low, high = window
    # entry 0 of a T1 table means "no value" and is not part of the scale
    picked = np.asarray(table)[np.linspace(1, len(table) - 1, _STEPS).round().astype(int)]
    width = 160 / _STEPS
    cells = "".join(
        f"<rect x='{20 + i * width:.2f}' y='1' width='{width + 0.15:.2f}' height='8' "
        f"fill='{hexadecimal(rgb)}'/>"
        for i, rgb in enumerate(picked)
    )
    marks = ""
    for tick in ticks:
        x = 20 + 160 * (tick - low) / (high - low)
        text = f"{tick:g}".replace("-", "−")
        marks += f"<path d='M{x:.1f} 9v2.5'/><text x='{x:.1f}' y='19.5'>{text}</text>"
    return (
        f"<svg class='bar' viewBox='0 0 200 32' role='img' "
        f"aria-label='{escape(label, quote=True)}'>{cells}{marks}"
        f"<text x='100' y='30'>{escape(label)}</text></svg>"
    )


def area_curve(synthesis: Synthesis) -> str:
    """LV cavity area over the cardiac cycle with ED and ES; "" where no curve was measured."""
    phases, times = synthesis.phases, np.median(synthesis.cine.trigger_ms, axis=0)
    area = phases.area_mm2 / 100
    if area.size != times.size or area.max() <= 0:
        return ""
    left, right, top, bottom = 34.0, 310.0, 18.0, 88.0
    span, highest = max(times[-1] - times[0], 1e-6), float(np.ceil(area.max() / 5) * 5)
    x = left + (times - times[0]) / span * (right - left)
    y = bottom - area / highest * (bottom - top)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    parts = [
        f"<path class='axis' d='M{left} {top}V{bottom}H{right}'/><polyline points='{points}'/>",
        *(f"<circle cx='{a:.1f}' cy='{b:.1f}' r='1.7'/>" for a, b in zip(x, y, strict=True)),
    ]
    for phase, name, colour in ((phases.ed, "ED", ED_COLOUR), (phases.es, "ES", ES_COLOUR)):
        at = min(max(x[phase], left + 12), right - 12)
        parts.append(f"<path d='M{x[phase]:.1f} {top - 4}V{bottom}' stroke='{colour}' stroke-width='1.4'/>")
        text = f"{name} {phase}, {times[phase]:.0f} ms"
        anchor = "start" if at < 80 else "end" if at > right - 60 else "middle"
        parts.append(f"<text x='{x[phase]:.1f}' y='10' fill='{colour}' text-anchor='{anchor}'>{text}</text>")
    for value in (0, highest):
        at = bottom - value / highest * (bottom - top) + 3
        parts.append(f"<text x='{left - 4}' y='{at:.1f}' text-anchor='end'>{value:g}</text>")
    parts.append(
        f"<text x='{left - 4}' y='{(top + bottom) / 2 + 3:.1f}' text-anchor='end'>cm²</text>"
        f"<text x='{left}' y='98'>{times[0]:.0f}</text>"
        f"<text x='{right}' y='98' text-anchor='end'>{times[-1]:.0f} ms after the R wave</text>"
    )
    return (
        "<svg class='curve' viewBox='0 0 320 102' role='img' "
        f"aria-label='LV cavity area over the cardiac cycle'>{''.join(parts)}</svg>"
    )


def _at(radius: float, degrees: float) -> tuple[float, float]:
    turn = np.radians(degrees)
    return float(radius * np.cos(turn)), float(-radius * np.sin(turn))


def _wedge(ring: str, start: float, end: float) -> str:
    inner, outer = _RADII[ring]
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = (
        _at(outer, start), _at(outer, end), _at(inner, end), _at(inner, start),
    )  # fmt: skip
    return (
        f"M{x0:.2f} {y0:.2f}A{outer} {outer} 0 0 0 {x1:.2f} {y1:.2f}"
        f"L{x2:.2f} {y2:.2f}A{inner} {inner} 0 0 1 {x3:.2f} {y3:.2f}Z"
    )
