"""report.html: everything of one study on one printable page that needs no other file and no network."""

from __future__ import annotations

import base64
from html import escape

from ..study import RESEARCH_NOTICE, T1_SCALE_NOTICE

LIMITS = (
    "The map is inferred from cine images and heart motion. No T1 measurement of this patient went into it.",
    f"Values are {T1_SCALE_NOTICE}: they are not comparable with another sequence, vendor or field strength, "
    "and no normal range of a site applies to them.",
    "The uncertainty is the spread between the model's own samples. It does not cover what the model "
    "never saw.",
    "Segments and slices that were not judged are left out, not estimated. The apex (segment 17) is never "
    "judged.",
    "T1 above the scar threshold marks injured myocardium (oedema, infarct, fibrosis), not necrosis by "
    "itself.",
)

_STYLE = """
body { font: 15px/1.45 "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; color: #1b1b1b;
  max-width: 1100px; margin: 0 auto; padding: 0 20px 40px; }
h1 { font-size: 26px; margin: 18px 0 2px; }
h2 { font-size: 19px; margin: 30px 0 8px; }
img { max-width: 100%; height: auto; border: 1px solid #ddd; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: 4px 9px; border-bottom: 1px solid #ddd; }
th { text-align: left; background: #f3f3f3; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
tr.none td { color: #767676; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 3px 16px; margin: 0; }
dt { color: #555; }
dd { margin: 0; overflow-wrap: anywhere; }
.notice { background: #a61c1c; color: #fff; font-weight: 700; font-size: 18px; text-align: center;
  padding: 9px; position: sticky; top: 0; }
.sub { color: #555; margin: 0 0 12px; }
.cards { display: flex; flex-wrap: wrap; gap: 12px; }
.card { border: 1px solid #ddd; border-radius: 6px; padding: 8px 14px; min-width: 120px; }
.card b { display: block; font-size: 21px; }
.card span { color: #555; font-size: 13px; }
@media print {
  body { max-width: none; font-size: 11px; }
  .notice { position: static; -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  h2 { break-after: avoid; }
  tr, .card, img { break-inside: avoid; }
}
"""


def build_page(result: dict, pictures: dict[str, bytes]) -> str:
    """The page as HTML text.

    result    what result.json holds
    pictures  PNG bytes of "phases", "overlay", "bullseye" and "thickening"; they go into the page itself

    Everything that comes from outside is escaped, and nothing that names a patient is in `result`.
    """
    agreement = result.get("agreement")
    training = f"The model was trained on {result['provenance']['trained_on']}."
    limits = (f"{training} How well it holds in patients has not been shown.", *LIMITS)
    parts = [
        f'<div class="notice">{escape(RESEARCH_NOTICE)}</div>',
        "<h1>Synthetic native T1 from cine MRI</h1>",
        f'<p class="sub">{escape(T1_SCALE_NOTICE)}. {escape(training)}</p>',
        _summary(result),
        _section(
            "End-diastole and end-systole",
            _picture(pictures["phases"], "LV cavity area over the cardiac cycle"),
        ),
        _section(
            "Maps", _picture(pictures["overlay"], "Cine and T1 maps of every LV slice") + _slices(result)
        ),
        _section(
            "AHA segments", _picture(pictures["bullseye"], "AHA-16 bull's-eye of mean T1") + _segments(result)
        ),
        _section("Wall thickening", _picture(pictures["thickening"], "AHA-16 bull's-eye of wall thickening")),
        _section("Agreement with the native map", _agreement(agreement)) if agreement else "",
        _section(
            "What this cannot tell", "<ul>" + "".join(f"<li>{escape(t)}</li>" for t in limits) + "</ul>"
        ),
        _section("Provenance", _provenance(result)),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(RESEARCH_NOTICE)}</title><style>{_STYLE}</style></head><body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def _picture(png: bytes, text: str) -> str:
    return f'<img alt="{escape(text)}" src="data:image/png;base64,{base64.b64encode(png).decode("ascii")}">'


def _number(value, unit: str = "", digits: int = 0) -> str:
    return "–" if value is None else f"{value:.{digits}f}{unit}".replace("-", "−")


def _summary(result: dict) -> str:
    phases, overall, function = result["phases"], result["global"], result.get("function") or {}
    in_lv = [s for s in result["slices"] if s["level"] is not None]
    judged = sum(s["valid"] for s in in_lv)
    doubt = overall.get("uncertainty_ms")
    note = (
        "spatial SD " + _number(overall["sd_ms"], " ms") + (f", uncertainty ±{doubt:.0f} ms" if doubt else "")
    )
    cards = [
        (_number(overall["mean_ms"], " ms"), "global T1, " + note),
        (f"{judged} of {len(in_lv)}", "LV slices judged"),
        (f"{phases['ed']} / {phases['es']}", f"ED / ES of {phases['count']} phases, counted from 0"),
    ]
    cards += [
        (_number(function[key], unit), label)
        for key, unit, label in (
            ("edv_ml", " mL", "EDV"),
            ("esv_ml", " mL", "ESV"),
            ("ef_percent", " %", "ejection fraction"),
            ("mass_g", " g", "LV mass"),
        )
        if key in function
    ]
    body = "".join(f'<div class="card"><b>{escape(v)}</b><span>{escape(t)}</span></div>' for v, t in cards)
    return f'<div class="cards">{body}</div>'


def _table(columns: list[tuple[str, bool]], rows: list[tuple[list[str], bool]]) -> str:
    """columns: (title, numeric);  rows: (cells, empty)."""
    head = "".join(f"<th{' class=n' if numeric else ''}>{escape(title)}</th>" for title, numeric in columns)
    body = ""
    for cells, empty in rows:
        tds = (
            f"<td{' class=n' if numeric else ''}>{escape(cell)}</td>"
            for cell, (_, numeric) in zip(cells, columns, strict=True)
        )
        body += f"<tr{' class=none' if empty else ''}>{''.join(tds)}</tr>"
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _slices(result: dict) -> str:
    flagged = [s for s in result["slices"] if s["flags"]]
    if not flagged:
        return "<p>No slice was flagged.</p>"
    columns = [("slice", True), ("level", False), ("judged", False), ("flags", False)]
    rows = [
        (
            [
                str(s["index"]),
                s["level"] or "outside the LV",
                "yes" if s["valid"] else "no",
                "; ".join(s["flags"]),
            ],
            not s["valid"],
        )
        for s in flagged
    ]
    return _table(columns, rows)


def _segments(result: dict) -> str:
    columns = [("", True), ("segment", False), ("mean (ms)", True), ("uncertainty (ms)", True)]
    columns += [("spatial SD (ms)", True), ("median (ms)", True), ("pixels", True), ("scar fraction", True)]
    columns += [("thickening", True)]
    rows = []
    for r in result["segments"]:
        scar = None if r["scar_fraction"] is None else 100 * r["scar_fraction"]
        doubt = "–" if r["uncertainty_ms"] is None else f"±{r['uncertainty_ms']:.0f}"
        cells = [str(r["id"]), r["name"], _number(r["mean_ms"]), doubt, _number(r["sd_ms"])]
        cells += [_number(r["median_ms"]), str(r["n"]), _number(scar, " %")]
        cells += [_number(r["thickening_percent"], " %")]
        if r["n"] == 0:
            cells[1] += " (not judged)"
        rows.append((cells, r["n"] == 0))
    return _table(columns, rows)


def _agreement(agreement: dict) -> str:
    low, high = agreement["loa_ms"] or (None, None)
    facts = [
        ("Pearson R, between segments", _number(agreement["pearson_r"], digits=2)),
        ("Bias, synthetic − native", _number(agreement["bias_ms"], " ms")),
        ("95 % limits of agreement", f"{_number(low)} to {_number(high, ' ms')}"),
    ]
    for key, label, unit, digits in (
        ("icc21", "ICC(2,1)", "", 2),
        ("ccc", "Lin's concordance", "", 2),
        ("segment_rmse_ms", "RMSE of the segment means", " ms", 0),
        ("rmse_ms", "RMSE of the myocardial pixels", " ms", 0),
        ("n_segments", "Segments compared", "", 0),
    ):
        if key in agreement:
            facts.append((label, _number(agreement[key], unit, digits)))
    return _facts(facts)


def _provenance(result: dict) -> str:
    provenance = result["provenance"]
    facts = []
    for key, value in provenance.items():
        if isinstance(value, dict):
            value = ", ".join(f"{k} {v}" for k, v in value.items())
        elif isinstance(value, list | tuple):
            value = "; ".join(str(v) for v in value)
        if value not in (None, ""):
            facts.append((key.replace("_", " "), str(value)))
    facts += [("note", note) for note in result.get("notes", [])]
    return _facts(facts)


def _facts(facts) -> str:
    return "<dl>" + "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts) + "</dl>"
