"""What report.html says in words: flags, agreement with a native map, limits, provenance."""

from __future__ import annotations

from ..statistics import NORMAL_THICKENING_PERCENT
from ..study import T1_SCALE_NOTICE
from .html import bullets, facts, number, with_doubt

UNUSUAL_Z = 2.0
FLAGS_ROOM, NOTES_ROOM = 250, 200
"""Characters that the printed page has for these; more stays on the screen, so that two pages suffice."""

LIMITS = (
    "The map is inferred from cine images and heart motion. No T1 measurement of this patient went into it.",
    f"Values are {T1_SCALE_NOTICE}: they are not comparable with another sequence, vendor or field strength.",
    "A z-score sets a synthetic value beside a range of measured ones. It is for orientation and says "
    "neither normal nor abnormal.",
    "The uncertainty is the spread between the model's own samples. It does not cover what the model "
    "never saw.",
    "Segments and slices that were not judged are left out, not estimated. The apex (segment 17) is never "
    "judged.",
    "T1 above the scar threshold marks injured myocardium (oedema, infarct, fibrosis), not necrosis by "
    "itself.",
)


def segment_flags(row: dict, z: dict) -> list[str]:
    """Short marks of one row of result["segments"]; z is its entry in result["reference"]["z"]."""
    flags = [] if row["n"] else ["not judged"]
    if z["z"] is not None and abs(z["z"]) > UNUSUAL_Z:
        flags.append("T1 high" if z["z"] > 0 else "T1 low")
    if z["z_uncertainty"] is not None and z["z_uncertainty"] > 1:
        flags.append("uncertain")
    thickening = row["thickening_percent"]
    if thickening is not None and thickening < NORMAL_THICKENING_PERCENT:
        flags.append("thickening low")
    return flags


def slice_flags(result: dict) -> str:
    """Every flag once, with its slices."""
    flagged: dict[str, list[dict]] = {}
    for entry in result["slices"]:
        for flag in entry["flags"]:
            flagged.setdefault(flag, []).append(entry)
    sentences = []
    for flag, entries in flagged.items():
        if len(entries) == len(result["slices"]) > 1:
            where = "all slices"
        else:
            where = "slice " if len(entries) == 1 else "slices "
            where += ", ".join(str(e["index"]) for e in entries)
        in_lv = [e for e in entries if e["level"] is not None]
        lost = in_lv and not any(e["valid"] for e in in_lv)
        sentences.append(f"{where}{' (not judged)' if lost else ''}: {flag}")
    return bullets(sentences, FLAGS_ROOM) or "<p>No slice was flagged.</p>"


def agreement(found: dict) -> str:
    """The figures of result["agreement"]."""
    low, high = found["loa_ms"] or (None, None)
    pairs = [
        ("Segments compared", str(found["n_segments"])),
        ("Pearson R", number(found["pearson_r"], digits=2)),
        ("Bias, synthetic − native", number(found["bias_ms"], " ms", sign=True)),
        ("95 % limits of agreement", f"{number(low)} to {number(high, ' ms')}"),
        ("ICC(2,1)", number(found["icc21"], digits=2)),
        ("Lin's concordance", number(found["ccc"], digits=2)),
        ("RMSE of segment means", number(found["segment_rmse_ms"], " ms")),
        ("RMSE of pixels", number(found["rmse_ms"], " ms")),
        (
            "Mean T1, synthetic / native",
            f"{number(found['global']['synthetic_ms'])} / {number(found['global']['native_ms'], ' ms')}",
        ),
    ]
    note = "Between the segment means of this one study; each map is read under its own contours."
    return f"<div class='wide'>{facts(pairs)}</div><p class='fine'>{note}</p>"


def reference(result: dict) -> str:
    """Mid-septal and global T1 beside the site's range."""
    site, septal, whole = result["reference"], result["midseptal"], result["global"]
    vendor = f", {site['vendor']}" if site["vendor"] else ""
    persons = f", n = {site['n']}" if site["n"] else ""
    pairs = []
    for name, entry, z in (
        ("Mid-septal T1 (segments 8, 9)", septal, site["z"]["midseptal"]),
        ("Global T1 (segments 1–16)", whole, site["z"]["global"]),
    ):
        text = with_doubt(entry["mean_ms"], entry["uncertainty_ms"], " ms")
        if entry["mean_ms"] is not None:
            text += f", spatial SD {number(entry['sd_ms'])} ms, {entry['n']} pixels"
        if z["z"] is not None:
            text += f"; z {with_doubt(z['z'], z['z_uncertainty'], digits=1, sign=True)}"
        pairs.append((name, text))
    pairs.append(
        (
            "Reference range",
            f"{site['mean_ms']:.0f} ± {site['sd_ms']:.0f} ms (mean ± SD between persons; {site['sequence']}, "
            f"{site['field_strength_t']:g} T{vendor}{persons})",
        )
    )
    pairs.append(("Its source", site["source"]))
    pairs.append(("z-scores", site["note"] if site["applies"] else f"none: {site['note']}"))
    return facts(pairs)


def limits(result: dict) -> str:
    """What the map cannot tell, in plain words."""
    training = f"The model was trained on {result['provenance']['trained_on']}."
    return bullets([f"{training} How well it holds in patients has not been shown.", *LIMITS])


def provenance(result: dict) -> str:
    """What made the numbers; the notices and what was set aside stand elsewhere on the page."""
    pairs = []
    for key, value in result["provenance"].items():
        if key in ("notice", "notices", "scale", "ignored"):
            continue
        if isinstance(value, dict):
            value = ", ".join(f"{k} {v}" for k, v in value.items())
        elif isinstance(value, list | tuple):
            value = "; ".join(str(v) for v in value)
        if value not in (None, ""):
            pairs.append((key.replace("_", " "), str(value)))
    return facts(pairs)


def notes(result: dict) -> str:
    """Fallbacks, remarks and what was set aside; those on a single slice come last, being many and alike."""
    said = dict.fromkeys([*result["notes"], *result["provenance"].get("ignored", ())])
    return bullets(sorted(said, key=lambda note: note.startswith("slice ")), NOTES_ROOM)
