"""summary.csv and index.html: one row per study, read from the study's own folder one at a time."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

from ..study import RESEARCH_NOTICE, T1_SCALE_NOTICE
from .records import read_record, read_result, write_whole

SUMMARY, INDEX = "summary.csv", "index.html"
SEGMENTS = range(1, 17)
_SEGMENT_COLUMNS = tuple(
    f"segment_{i}_{name}" for name in ("t1_ms", "uncertainty_ms", "scar_fraction") for i in SEGMENTS
)
COLUMNS = (
    "study", "source", "status", "reason", "ed", "es", "phases", "slices", "slices_lv", "slices_judged",
    "edv_ml", "esv_ml", "ef_percent", "mass_g", "global_t1_ms", "global_sd_ms", "global_n", "midseptal_t1_ms",
    "midseptal_uncertainty_ms", "midseptal_z", "native_pearson_r", "native_bias_ms", *_SEGMENT_COLUMNS,
    "model", "weights_sha256", "preset", "seed", "samples", "steps",
    "device", "seconds", "remarks", "notice",
)  # fmt: skip
_SHOWN = (
    ("edv_ml", "EDV, mL"), ("esv_ml", "ESV, mL"), ("ef_percent", "EF, %"), ("mass_g", "mass, g"),
    ("global_t1_ms", "global T1, ms"), ("midseptal_t1_ms", "mid-septal T1, ms"),
    ("native_bias_ms", "synthetic − native, ms"), ("slices_judged", "LV slices judged"),
    ("seconds", "seconds"),
)  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One study as the tables see it. `verdict` is "ok", "failed" or "waiting"; `reason` of a failure."""

    folder: str
    label: str
    verdict: str
    reason: str = ""


def write_tables(output: Path, lines: Iterable[Line], title: str) -> None:
    """Replace summary.csv and index.html of `output`, each in one move. OSError when that cannot be."""
    lines = list(lines)
    write_whole(output / SUMMARY, lambda file: _write_summary(file, output, lines))
    write_whole(output / INDEX, lambda file: _write_index(file, output, lines, title))


def row_of(output: Path, line: Line) -> dict:
    """A row of summary.csv; what is not known is None."""
    row: dict = dict.fromkeys(COLUMNS)
    row |= {"study": line.folder, "source": line.label, "status": line.verdict, "notice": RESEARCH_NOTICE}
    record = read_record(output / line.folder)
    row["reason"] = line.reason or (record.get("reason") if line.verdict == "failed" else None)
    result = read_result(output / line.folder) if line.verdict == "ok" else None
    if result is None:
        return row
    slices, function = result.get("slices", []), result.get("function") or {}
    made, whole = result.get("provenance") or {}, result.get("global") or {}
    agreement, septal = result.get("agreement") or {}, result.get("midseptal") or {}
    scores = (result.get("reference") or {}).get("z") or {}
    row |= {
        **{name: result["phases"].get(name) for name in ("ed", "es")},
        "phases": result["phases"].get("count"),
        "slices": len(slices),
        "slices_lv": sum(s.get("level") is not None for s in slices),
        "slices_judged": sum(bool(s.get("valid")) for s in slices),
        **{name: function.get(name) for name in ("edv_ml", "esv_ml", "ef_percent", "mass_g")},
        "global_t1_ms": whole.get("mean_ms"),
        "global_sd_ms": whole.get("sd_ms"),
        "global_n": whole.get("n"),
        "midseptal_t1_ms": septal.get("mean_ms"),
        "midseptal_uncertainty_ms": septal.get("uncertainty_ms"),
        "midseptal_z": (scores.get("midseptal") or {}).get("z"),
        "native_pearson_r": agreement.get("pearson_r"),
        "native_bias_ms": agreement.get("bias_ms"),
        **{n: made.get(n) for n in ("model", "weights_sha256", "seed", "samples", "steps", "device")},
        "preset": (record.get("options") or {}).get("preset"),
        "seconds": sum((result.get("seconds") or {}).values()),
        "remarks": "; ".join(record.get("log") or []),
    }
    for segment in result.get("segments", []):
        for name, key in (
            ("t1_ms", "mean_ms"),
            ("uncertainty_ms", "uncertainty_ms"),
            ("scar_fraction", "scar_fraction"),
        ):
            row[f"segment_{segment['id']}_{name}"] = segment.get(key)
    return row


def _write_summary(file, output: Path, lines: list[Line]) -> None:
    writer = csv.DictWriter(file, COLUMNS)
    writer.writeheader()
    for line in lines:
        writer.writerow({key: _cell(value) for key, value in row_of(output, line).items()})


def _cell(value):
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4f}"
    # a folder's name may begin like a formula, which a spreadsheet would execute
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def _write_index(file, output: Path, lines: list[Line], title: str) -> None:
    counts = {v: sum(line.verdict == v for line in lines) for v in ("ok", "failed", "waiting")}
    told = ", ".join(
        f"<a href='#{verdict}'>{n} {verdict}</a>" if verdict != "ok" else f"{n} ok"
        for verdict, n in counts.items()
        if n
    )
    file.write(
        _HEAD.format(title=escape(title), notice=escape(RESEARCH_NOTICE), scale=escape(T1_SCALE_NOTICE))
    )
    file.write(
        f"<p>{len(lines)} studies: {told}. The same as a table: <a href='{SUMMARY}'>{SUMMARY}</a>.</p>\n"
    )
    file.write("<table><thead><tr><th>T1</th><th>study</th><th>status</th>")
    file.write("".join(f"<th class='n'>{escape(name)}</th>" for _, name in _SHOWN) + "</tr></thead><tbody>\n")
    seen = set()
    for line in lines:
        # the first of its kind, which the counts above lead to
        mark = "" if line.verdict in seen else f" id='{line.verdict}'"
        seen.add(line.verdict)
        file.write("".join(_index_row(output, line, mark)))
    file.write("</tbody></table></body></html>\n")


def _index_row(output: Path, line: Line, mark: str) -> Iterator[str]:
    row = row_of(output, line)
    folder = quote(line.folder)
    picture = output / line.folder / "bullseye.png"
    yield f"<tr class='{line.verdict}'{mark}><td>"
    if line.verdict == "ok" and picture.is_file():
        # the plate alone, and beside a native map's the synthetic one
        kind = " class='left'" if row["native_bias_ms"] is not None else ""
        yield f"<span class='plate'><img{kind} src='{folder}/bullseye.png' alt='' loading='lazy'></span>"
    name = escape(line.folder)
    if line.verdict == "ok":
        name = f"<a href='{folder}/report.html'>{name}</a>"
    told = "".join(f"<br><small>{escape(text)}</small>" for text in (line.label, row["remarks"]) if text)
    yield f"</td><td class='words'>{name}{told}</td><td>{line.verdict}</td>"
    if line.verdict == "ok":
        row["slices_judged"] = f"{row['slices_judged']} of {row['slices_lv']}"
        yield "".join(f"<td class='n'>{_shown(row[key])}</td>" for key, _ in _SHOWN)
    else:
        yield f"<td class='words' colspan='{len(_SHOWN)}'>{escape(row['reason'] or '')}</td>"
    yield "</tr>\n"


def _shown(value) -> str:
    return (
        "–"
        if value is None
        else f"{value:.0f}".replace("-", "−")
        if isinstance(value, float)
        else escape(str(value))
    )


_HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 15px/1.45 "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; color: #1b1b1b;
  max-width: 1200px; margin: 0 auto; padding: 0 20px 40px; }}
h1 {{ font-size: 26px; margin: 18px 0 2px; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ padding: 4px 8px; border-bottom: 1px solid #ddd; text-align: left; }}
th {{ background: #f3f3f3; position: sticky; top: 44px; vertical-align: bottom; }}
th.n {{ max-width: 84px; }}
td.words {{ overflow-wrap: anywhere; min-width: 150px; }}
td.n, th.n {{ text-align: right; font-variant-numeric: tabular-nums; }}
td.n {{ white-space: nowrap; }}
.plate {{ display: block; width: 76px; height: 76px; overflow: hidden; }}
.plate img {{ height: 122px; margin: -23px 0 0 -19px; }}
.plate img.left {{ margin-left: -10px; }}
tr[id] {{ scroll-margin-top: 130px; }}
small, tr.waiting td {{ color: #666; }}
tr.failed td {{ background: #fbeaea; }}
.notice {{ background: #a61c1c; color: #fff; font-weight: 700; font-size: 18px; text-align: center;
  padding: 9px; position: sticky; top: 0; }}
@media print {{ @page {{ size: A4 landscape; margin: 10mm; }}
  body {{ font-size: 9pt; max-width: none; padding: 0; }} .notice, th {{ position: static; }}
  tr {{ break-inside: avoid; }} * {{ print-color-adjust: exact; }} }}
</style></head><body>
<div class="notice">{notice}</div>
<h1>{title}</h1>
<p>{scale}.</p>
"""
