"""What the results step says and shows, without widgets: texts, overlay, scar extent, export."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from slicer.i18n import tr as _

from T1DiffLogic.errors import StudyError

from . import handover, host
from .parameters import Overlay
from .session import RESULT

HEART_MM = 140.0
"""What the shorter side of a view shows of a heart and its surroundings: most of the model's 179 mm."""


def show_overlay(session, comparing: bool) -> None:
    """Lays the chosen map over the cine; side by side: synthetic, native and difference map."""
    parameters, nodes = session.parameters, session.nodes
    maps = {"Red": parameters.overlay}
    if comparing:
        maps = {"Red": Overlay.T1, "Yellow": Overlay.NATIVE, "Green": Overlay.DIFFERENCE}
    marks = nodes.get(RESULT + "marks") if parameters.hatching else None
    shown = set()
    for name in ("Red", "Yellow", "Green"):
        pair = host.slice_view(session.scene, name)
        if pair is None:
            continue
        role = maps.get(name, parameters.overlay).value
        over = _map(nodes, role)
        shown.add(role if over is not None else "")
        host.display.show_volumes(pair[1], session.frame, over, marks, parameters.opacity / 100)
        pair[0].SetUseLabelOutline(True)
    for role in ("t1", "t1_sd", "native", "difference"):
        legend = nodes.get(f"{RESULT}{role}_legend")
        if legend is not None:
            # off and on: a legend that was on before its map came into the view is not drawn (Slicer 5.12)
            legend.SetVisibility(False)
            legend.SetVisibility(role in shown)


def _map(nodes, role: str):
    """The volume of a map: the stack itself, or the resampled one of a stack that is not uniform."""
    return (nodes.get(f"{RESULT}{role}_resampled") or nodes.get(RESULT + role)) if role else None


def frame_heart(session) -> None:
    """Turns the views to the short axis and closes in on the left ventricle, in its middle slice."""
    from T1DiffLogic.anatomy.frame import lv_centre
    from T1DiffLogic.scene.volumes import to_ras

    centre = None
    if session.has_contours:
        centres = [(s, lv_centre(labels)) for s, labels in enumerate(session.reviewed("ed"))]
        inside = [(s, found) for s, found in centres if found is not None]
        if inside:
            s, found = inside[len(inside) // 2]
            centre = to_ras(session.cine.geometries[s].to_patient(found))
    for name in ("Red", "Yellow", "Green"):
        host.look_at(session.scene, name, session.frame, None if centre is None else HEART_MM, centre)


def scar(synthesis, rule) -> tuple[list | None, str]:
    """(rows of the AHA-16 table, sentence on the extent) under 'fixed', 'remote' or a threshold in ms."""
    from T1DiffLogic.statistics import scar_rule, segment_table

    try:
        found = scar_rule(synthesis, rule)
    except StudyError as error:
        return None, str(error)
    rows = [row.as_dict() for row in segment_table(synthesis, found)]
    judged = [row for row in rows if row["n"]]
    pixels = sum(row["n"] for row in judged)
    if not pixels:
        return rows, _("No segment was judged.")
    share = sum(row["scar_fraction"] * row["n"] for row in judged) / pixels
    lines = [
        _("Scar: {share:.0f} % of the judged LV myocardium above {ms:.0f} ms.").format(
            share=100 * share, ms=float(np.mean(found.threshold_ms))
        )
    ]
    worst = sorted((r for r in judged if r["scar_fraction"] >= 0.25), key=lambda r: -r["scar_fraction"])[:4]
    if worst:
        named = [f"{r['name']} {100 * r['scar_fraction']:.0f} %" for r in worst]
        lines.append(_("Most in: {segments}.").format(segments=", ".join(named)))
    if len(judged) < 16:
        lines.append(_("{n} of 16 segments were not judged and are left out.").format(n=16 - len(judged)))
    if found.note:
        lines.append(found.note[0].upper() + found.note[1:])
    return rows, "\n".join(lines)


_TITLES = {
    "id": _("segment"),
    "name": _("name"),
    "mean_ms": _("mean (ms)"),
    "sd_ms": _("spatial SD (ms)"),
    "median_ms": _("median (ms)"),
    "n": _("pixels"),
    "uncertainty_ms": _("uncertainty (ms)"),
    "scar_fraction": _("scar fraction"),
    "thickening_percent": _("thickening (%)"),
}


def fill(table, rows) -> None:
    """Puts rows into the AHA table of the scene, rounded to what can be read at a glance."""
    from T1DiffLogic.scene.tables import update_segment_table

    digits = {"scar_fraction": 2}
    update_segment_table(
        table,
        [{k: round(v, digits.get(k, 0)) if isinstance(v, float) else v for k, v in r.items()} for r in rows],
    )
    for name, title in _TITLES.items():
        table.SetColumnTitle(name, title)


def draw_bullseye(session, path: Path) -> None:
    """Draws the bull's-eye of the synthetic map alone, large enough for the panel. Needs matplotlib."""
    from T1DiffLogic.report.bullseye import write_bullseye

    write_bullseye({**session.result, "agreement": None}, path)


def slices_text(synthesis) -> str:
    """Which LV slices were not judged, and why."""
    inside = [s for s in synthesis.slices if s.level is not None]
    left_out = [s for s in inside if not s.valid]
    if not left_out:
        return _("All {n} LV slices were judged.").format(n=len(inside))
    lines = [_("{n} of {all} LV slices were not judged:").format(n=len(left_out), all=len(inside))]
    lines += [f"  {_('slice')} {s.index} ({_(s.level)}): {'; '.join(s.flags)}" for s in left_out]
    return "\n".join(lines)


def agreement_text(agreement) -> str:
    """Agreement between segments in one line, "" without a native map."""
    if not agreement or agreement["bias_ms"] is None:
        return ""
    text = _("Against the native map, {n} segments: bias {bias:+.0f} ms").format(
        n=agreement["n_segments"], bias=agreement["bias_ms"]
    )
    if agreement["loa_ms"] is not None:
        text += _(", 95 % limits {low:.0f} to {high:.0f} ms").format(
            low=agreement["loa_ms"][0], high=agreement["loa_ms"][1]
        )
    if agreement["pearson_r"] is not None:
        text += f", r = {agreement['pearson_r']:.2f}"
    return text.replace("-", "−") + "."


def export(session, folder) -> Path:
    """Copies everything of the study into a new folder below `folder`, and returns that.

    The table goes along under the scar rule that is chosen now, too. StudyError when it cannot be written.
    """
    from T1DiffLogic.report.table import write_segments

    source, target = handover.result_folder(session), Path(folder) / "T1Diff"
    number = 1
    while target.exists():
        number += 1
        target = Path(folder) / f"T1Diff_{number}"
    try:
        shutil.copytree(source, target, ignore=shutil.ignore_patterns(".*", handover.RECORD_FILE))
        parameters = session.parameters
        name = parameters.scarRule.value
        if name != "fixed":
            rule = parameters.scarThresholdMs if name == "given" else name
            rows, _sentence = scar(session.synthesis, rule)
            if rows is not None:
                write_segments(rows, target / f"segments_scar_{rule}.csv")
    except OSError as error:
        raise StudyError(f"{target} cannot be written ({error.strerror}); choose another folder.") from error
    return target
