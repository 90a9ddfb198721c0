"""report.html: everything of one study on two pages that need no other file and no network."""

from __future__ import annotations

from html import escape

from ..study import RESEARCH_NOTICE, T1_SCALE_NOTICE, Synthesis
from . import colours, statements, vector
from .html import number, section, table, with_doubt
from .identity import Identity
from .style import SLICES_ROOM_MM, style
from .tiles import slice_table, tile_side_mm, titles_of

T1_TICKS, SD_TICKS = (700, 1000, 1300, 1600, 2000), (0, 50, 100, 150)
DIFFERENCE_TICKS = (-300, -150, 0, 150, 300)
THICKENING_TICKS = (-20, 0, 25, 50, 75, 100)


def build_page(result: dict, synthesis: Synthesis, identity: Identity | None = None) -> str:
    """The page as HTML text, one sheet each for numbers and for slices.

    result    what result.json holds
    identity  whom to name; None, the default, names nobody: there is nothing else on the page that could

    Everything that comes from outside is escaped.
    """
    who = _identity(identity)
    sheet_style = style(tile_side_mm(synthesis, SLICES_ROOM_MM), len(titles_of(synthesis)))
    agreement = result.get("agreement")
    numbers = [
        "<h1>Synthetic native T1 from cine MRI</h1>",
        f'<p class="sub">{escape(T1_SCALE_NOTICE)}. The model was trained on '
        f"{escape(result['provenance']['trained_on'])}.</p>",
        who,
        _cards(result),
        section("AHA segments: mean T1 and wall thickening", _plates(result)),
        "<div class='two'>",
        section("Mid-septal T1 and the site's reference range", statements.reference(result)),
        section("LV cavity area over the cycle, sum of the mid slices", vector.area_curve(synthesis)),
        "</div>",
        section("Measurements of the AHA segments", _segments(result)),
        section("Agreement with the native map", statements.agreement(agreement)) if agreement else "",
    ]
    beside = [
        section("What this cannot tell", statements.limits(result)),
        section("Flags of slices", statements.slice_flags(result)),
        section("Notes", statements.notes(result)),
        section("Provenance", statements.provenance(result)),
    ]
    slices = [
        who,
        "<div class='maps-beside'><div>",
        section("Slices from base to apex", _slices(result, synthesis)),
        "</div><div class='beside'>",
        *beside,
        "</div></div>",
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(RESEARCH_NOTICE)}</title><style>{sheet_style}</style></head><body>\n"
        f"{vector.hatch()}{_sheet(numbers)}{_sheet(slices)}</body></html>\n"
    )


def _sheet(parts: list[str]) -> str:
    body = "\n".join(part for part in parts if part)
    return f'<div class="sheet"><div class="notice">{escape(RESEARCH_NOTICE)}</div>\n{body}\n</div>\n'


def _identity(identity: Identity | None) -> str:
    if identity is None:
        return ""
    told = "".join(
        f"<div><span>{escape(label)}</span> <b>{escape(value)}</b></div>" for label, value in identity.lines()
    )
    return f'<div class="identity">{told}</div>'


def _cards(result: dict) -> str:
    phases, overall, function = result["phases"], result["global"], result["function"]
    septal, z = result["midseptal"], result["reference"]["z"]["midseptal"]["z"]
    in_lv = [s for s in result["slices"] if s["level"] is not None]
    judged = sum(s["valid"] for s in in_lv)
    cards = [
        (
            with_doubt(septal["mean_ms"], septal["uncertainty_ms"], " ms"),
            "mid-septal T1" + (f", z {number(z, digits=1, sign=True)}" if z is not None else ""),
        ),
        (with_doubt(overall["mean_ms"], overall["uncertainty_ms"], " ms"), "global T1"),
        (number(function["ef_percent"], " %"), "ejection fraction"),
        (number(function["edv_ml"], " mL"), "EDV"),
        (number(function["esv_ml"], " mL"), "ESV"),
        (number(function["mass_g"], " g"), "LV mass"),
        (f"{judged} of {len(in_lv)}", "LV slices judged"),
        (f"{phases['ed']} / {phases['es']}", f"ED / ES of 0…{phases['count'] - 1}"),
    ]
    body = "".join(f'<div class="card"><b>{escape(v)}</b><span>{escape(t)}</span></div>' for v, t in cards)
    return f'<div class="cards">{body}</div>'


def _t1_colour(value_ms: float):
    return colours.colour_t1(value_ms, True)[:3]


def _plates(result: dict) -> str:
    rows, agreement = result["segments"], result["agreement"]
    t1_bar = vector.bar(colours.lipari_table(), colours.T1_WINDOW_MS, T1_TICKS, "T1 (ms)")
    plates = [
        (
            "Synthetic T1 (ms)",
            vector.bullseye(
                [r["mean_ms"] for r in rows], _t1_colour, [r["uncertainty_ms"] for r in rows],
                "AHA-16 bull's-eye of synthetic T1", "ms",
            ),
            t1_bar,
        )
    ]  # fmt: skip
    if agreement:
        native = [r["native_mean_ms"] for r in agreement["segments"]]
        drawn = vector.bullseye(native, _t1_colour, None, "AHA-16 bull's-eye of native T1", "ms")
        plates.append(("Native T1, measured (ms)", drawn, t1_bar))
    plates.append(
        (
            "Wall thickening ED to ES (%)",
            vector.bullseye(
                [r["thickening_percent"] for r in rows], colours.colour_thickening, None,
                "AHA-16 bull's-eye of systolic wall thickening", "%",
            ),
            vector.bar(
                colours.thickening_table(), colours.THICKENING_WINDOW_PERCENT, THICKENING_TICKS,
                "thickening, % of the wall at ED",
            ),
        )
    )  # fmt: skip
    body = "".join(f"<div class='plate'><h3>{escape(t)}</h3>{eye}{bar}</div>" for t, eye, bar in plates)
    legend = "± is the SD of the segment's mean over the model's samples. Hatched: no value. "
    legend += "Base outside, apex inside; the apex itself (17) is left out."
    return f"<div class='plates'>{body}</div><p class='fine'>{escape(legend)}</p>"


def _segments(result: dict) -> str:
    agreement = result["agreement"]
    native = {r["id"]: r["native_mean_ms"] for r in agreement["segments"]} if agreement else {}
    columns = [("", True), ("segment", False), ("T1 ± (ms)", True), ("z ±", True)]
    columns += [("SD (ms)", True), ("median (ms)", True), ("pixels", True), ("scar", True)]
    columns += [("thickening", True), *([("native (ms)", True)] if native else []), ("flags", False)]
    rows = []
    for r, z in zip(result["segments"], result["reference"]["z"]["segments"], strict=True):
        scar = None if r["scar_fraction"] is None else 100 * r["scar_fraction"]
        cells = [str(r["id"]), r["name"], with_doubt(r["mean_ms"], r["uncertainty_ms"])]
        cells += [with_doubt(z["z"], z["z_uncertainty"], digits=1, sign=True), number(r["sd_ms"])]
        cells += [number(r["median_ms"]), str(r["n"]), number(scar, " %")]
        cells += [number(r["thickening_percent"], " %")]
        if native:
            cells.append(number(native[r["id"]]))
        cells.append("; ".join(statements.segment_flags(r, z)))
        rows.append((cells, "none" if r["n"] == 0 else "ring" if r["id"] in (7, 13) else ""))
    note = "T1 ±: mean and its uncertainty. SD: spatial. z: distance from the reference mean in its SDs ("
    note += result["reference"]["note"] + "). scar: share of pixels above 1250 ms, counted in each sample. "
    note += "T1 high, low: z beyond ±2; uncertain: above one reference SD; thickening low: below 30 %."
    return f"<div class='scroll segments'>{table(columns, rows)}</div><p class='fine'>{escape(note)}</p>"


def _slices(result: dict, synthesis: Synthesis) -> str:
    bars = [
        vector.bar(colours.lipari_table(), colours.T1_WINDOW_MS, T1_TICKS, "T1 (ms)"),
        vector.bar(colours.sd_table(), colours.SD_WINDOW_MS, SD_TICKS, "SD (ms)"),
    ]
    if result["agreement"]:
        bars.append(
            vector.bar(
                colours.difference_table(), colours.DIFFERENCE_WINDOW_MS, DIFFERENCE_TICKS,
                "synthetic − native (ms)",
            )
        )  # fmt: skip
    legend = (
        "Contours: red endocardium, green epicardium, blue RV. Yellow ticks: RV insertions, a anterior, i "
        "inferior. Letters: side of the patient (A anterior, P posterior, L left, R right, H head, F foot). "
        "Maps: LV myocardium at ED, closer than the cine; T1 below the window takes the darkest colour."
    )
    outside = [str(s["index"]) for s in result["slices"] if s["level"] is None]
    if outside and len(outside) < len(result["slices"]):
        legend += f" Outside the LV and not shown: slice {', '.join(outside)}."
    return (
        f"<div class='scroll'>{slice_table(synthesis)}</div><div class='bars'>{''.join(bars)}</div>"
        f"<p class='fine'>{escape(legend)}</p>"
    )
