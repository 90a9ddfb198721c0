"""result.json as a few readable lines for a terminal."""

from __future__ import annotations

from pathlib import Path

from .study import RESEARCH_NOTICE

MAX_NOTES = 12


def summary_of(result: dict, output: Path) -> list[str]:
    """The lines that a person wants after a study: phases, AHA-16 table, T1, agreement, times, where."""
    phases, function = result["phases"], result["function"]
    lines = [
        f"ED phase {phases['ed']}, ES phase {phases['es']} of {phases['count']} (counted from 0); "
        f"EDV {number(function['edv_ml'])} mL, ESV {number(function['esv_ml'])} mL, "
        f"EF {number(function['ef_percent'])} %",
        "",
        *_segments(result),
        "",
        f"Global T1 {number(result['global']['mean_ms'])} ms over {result['global']['n']} pixels",
    ]
    if result["agreement"] is not None:
        lines.append(_agreement(result["agreement"]))
    shared = [f for f in result["slices"][0]["flags"] if all(f in s["flags"] for s in result["slices"])]
    for entry in result["slices"]:
        own = ", ".join(flag for flag in entry["flags"] if flag not in shared)
        if own:
            lines.append(f"Slice {entry['index']}{'' if entry['valid'] else ' is not judged'}: {own}")
    lines += [f"All slices: {flag}" for flag in shared]
    lines += _notes(result["notes"])
    seconds = result["seconds"]
    times = ", ".join(f"{stage} {value:.1f} s" for stage, value in seconds.items())
    lines.append(f"Time: {times}; {sum(seconds.values()):.1f} s in all")
    pictures = ", ".join(str(output / result["files"][name]) for name in ("overlay", "bullseye"))
    lines += [f"Pictures: {pictures}", f"All of it: {output / result['files']['report']}", RESEARCH_NOTICE]
    return lines


def _notes(notes: list[str]) -> list[str]:
    """One line per note, at most MAX_NOTES; those on a single slice give way, being many and alike."""
    ranked = sorted(notes, key=lambda note: note.startswith("slice "))
    lines = [f"Note: {note}" for note in ranked[:MAX_NOTES]]
    if len(notes) > MAX_NOTES:
        lines.append(f"Note: {len(notes) - MAX_NOTES} more notes are in result.json")
    return lines


def _segments(result: dict) -> list[str]:
    compared = result["agreement"]["segments"] if result["agreement"] is not None else []
    native = {row["id"]: row["native_mean_ms"] for row in compared}
    head = f"{'AHA segment':<24}{'synthetic T1':>18}{'scar':>7}{'native T1' if compared else '':>12}"
    rows = [head, "-" * len(head)]
    for row in result["segments"]:
        spread = f" ± {row['uncertainty_ms']:.0f}" if row["uncertainty_ms"] is not None else ""
        scar = f"{row['scar_fraction']:.0%}" if row["scar_fraction"] is not None else "–"
        beside = f"{number(native[row['id']]) + ' ms':>12}" if compared else ""
        rows.append(
            f"{row['id']:>2} {row['name']:<21}{number(row['mean_ms']) + spread + ' ms':>18}{scar:>7}{beside}"
        )
    return rows


def _agreement(agreement: dict) -> str:
    low, high = agreement["loa_ms"] or (None, None)
    r = f"{agreement['pearson_r']:.2f}" if agreement["pearson_r"] is not None else "–"
    return (
        f"Agreement with the native map over {agreement['n_segments']} segments: R {r}, "
        f"bias {number(agreement['bias_ms'])} ms, limits {number(low)} to {number(high)} ms"
    )


def number(value: float | None) -> str:
    """A whole number, or a dash for what is not known."""
    return "–" if value is None else f"{value:.0f}"
