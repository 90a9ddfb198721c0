"""Plots in MRML: the LV area curve with ED and ES, agreement with a native map."""

from __future__ import annotations

import numpy as np

from ..study import RESEARCH_NOTICE
from .tables import fill_table

_CURVE, _ED, _ES, _POINTS, _LINE = (
    (0.25, 0.25, 0.25),
    (0.12, 0.37, 0.66),
    (0.75, 0.22, 0.17),
    (0.1, 0.3, 0.6),
    (0.4, 0.4, 0.4),
)


def add_area_curve(trigger_ms, area_mm2, ed: int, es: int, scene) -> dict:
    """Add the LV cavity area over the cardiac cycle with a mark at ED and one at ES.

    trigger_ms  (P,) ms after the R wave;  area_mm2  (P,) of the mid slices

    Nodes: area_table, area_series, area_ed, area_es (the marks' series), area_chart.
    """
    table = scene.AddNewNodeByClass("vtkMRMLTableNode", "LV area")
    marks = scene.AddNewNodeByClass("vtkMRMLTableNode", "ED and ES")
    nodes = {
        "area_table": table,
        "area_marks": marks,
        "area_series": _series(scene, "LV cavity", table, "time_ms", "area_cm2", _CURVE, line=True, size=5),
        "area_ed": _series(scene, "ED", marks, "ed_ms", "ed_cm2", _ED, size=14),
        "area_es": _series(scene, "ES", marks, "es_ms", "es_cm2", _ES, size=14),
    }
    nodes["area_chart"] = _chart(
        scene,
        "LV cavity, mid slices",
        "time after the R wave (ms)",
        "area (cm²)",
        [nodes["area_series"], nodes["area_ed"], nodes["area_es"]],
    )
    update_area_curve(nodes, trigger_ms, area_mm2, ed, es)
    return _noticed(nodes)


def update_area_curve(nodes: dict, trigger_ms, area_mm2, ed: int, es: int) -> None:
    """Draw another curve, or other marks, into the nodes of `add_area_curve`."""
    times, area = np.asarray(trigger_ms, float), np.asarray(area_mm2, float) / 100
    fill_table(nodes["area_table"], {"time_ms": times.tolist(), "area_cm2": area.tolist()})
    marks = {}
    for name, phase in (("ed", ed), ("es", es)):
        marks |= {f"{name}_ms": [float(times[phase])], f"{name}_cm2": [float(area[phase])]}
        nodes[f"area_{name}"].SetName(f"{name.upper()} {phase}")
    fill_table(nodes["area_marks"], marks)
    # room around the marks, which else are cut in half where ED is the first phase
    chart = nodes["area_chart"]
    for values, set_auto, set_range in (
        (times, chart.SetXAxisRangeAuto, chart.SetXAxisRange),
        (area, chart.SetYAxisRangeAuto, chart.SetYAxisRange),
    ):
        margin = 0.08 * float(np.ptp(values)) or 1.0
        set_auto(False)
        set_range(float(values.min()) - margin, float(values.max()) + margin)


def add_agreement_plots(agreement: dict, scene) -> dict:
    """Add the segment means of a synthetic against a native map, as scatter and as Bland–Altman plot.

    agreement  what statistics.agreement returns

    Nodes: agreement_table, agreement_lines, scatter_chart, bland_altman_chart and their series; {}
    when no segment has both values.
    """
    pairs = [
        (r["native_mean_ms"], r["synthetic_mean_ms"], r["name"]) for r in agreement["segments"] if r["n"]
    ]
    if not pairs:
        return {}
    native, synthetic = (np.array([p[i] for p in pairs], float) for i in (0, 1))
    mean, difference = (native + synthetic) / 2, synthetic - native
    table = scene.AddNewNodeByClass("vtkMRMLTableNode", "Agreement of segments")
    fill_table(
        table,
        {
            "segment": [p[2] for p in pairs],
            "native_ms": native.tolist(),
            "synthetic_ms": synthetic.tolist(),
            "mean_ms": mean.tolist(),
            "difference_ms": difference.tolist(),
        },
    )
    low, high = _span(np.concatenate([native, synthetic]))
    left, right = _span(mean)
    lines = {"identity_ms": [low, high], "mean_ms": [left, right]}
    names = {"bias_ms": "bias"}
    lines["bias_ms"] = [agreement["bias_ms"]] * 2
    if agreement["loa_ms"] is not None:
        for key, value, name in zip(("lower_ms", "upper_ms"), agreement["loa_ms"], ("−1.96 SD", "+1.96 SD")):
            lines[key], names[key] = [value] * 2, name
    edges = scene.AddNewNodeByClass("vtkMRMLTableNode", "Agreement lines")
    fill_table(edges, lines)
    nodes = {"agreement_table": table, "agreement_lines": edges}
    nodes["scatter_series"] = _series(
        scene, "AHA segments", table, "native_ms", "synthetic_ms", _POINTS, size=9, labels="segment"
    )
    nodes["scatter_identity"] = _series(
        scene, "identity", edges, "identity_ms", "identity_ms", _LINE, line=True, dashed=True
    )
    nodes["scatter_chart"] = _chart(
        scene,
        "Synthetic and native T1",
        "native T1 (ms)",
        "synthetic T1 (ms)",
        [nodes["scatter_series"], nodes["scatter_identity"]],
    )
    nodes["bland_altman_series"] = _series(
        scene, "AHA segments ", table, "mean_ms", "difference_ms", _POINTS, size=9, labels="segment"
    )
    drawn = [nodes["bland_altman_series"]]
    for key, name in names.items():
        title = f"{name} {lines[key][0]:.0f} ms"
        nodes[f"bland_altman_{key}"] = _series(
            scene, title, edges, "mean_ms", key, _LINE, line=True, dashed=key != "bias_ms"
        )
        drawn.append(nodes[f"bland_altman_{key}"])
    nodes["bland_altman_chart"] = _chart(
        scene, "Bland–Altman", "mean of both (ms)", "synthetic − native (ms)", drawn
    )
    return _noticed(nodes)


def _series(scene, name, table, x, y, colour, *, line=False, dashed=False, size=0, labels=None):
    node = scene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", name)
    node.SetAndObserveTableNodeID(table.GetID())
    node.SetXColumnName(x)
    node.SetYColumnName(y)
    if labels is not None:
        node.SetLabelColumnName(labels)
    node.SetPlotType(node.PlotTypeScatter)
    node.SetLineStyle((node.LineStyleDash if dashed else node.LineStyleSolid) if line else node.LineStyleNone)
    node.SetMarkerStyle(node.MarkerStyleCircle if size else node.MarkerStyleNone)
    node.SetMarkerSize(size or 1)
    node.SetColor(*colour)
    return node


def _chart(scene, title, x_title, y_title, series):
    node = scene.AddNewNodeByClass("vtkMRMLPlotChartNode", title)
    node.SetTitle(f"{title}, for research only")
    node.SetXAxisTitle(x_title)
    node.SetYAxisTitle(y_title)
    for item in series:
        node.AddAndObservePlotSeriesNodeID(item.GetID())
    return node


def _span(values) -> tuple[float, float]:
    """The range of `values` with a tenth of air, at least 20 ms wide."""
    low, high = float(np.min(values)), float(np.max(values))
    air = max(0.1 * (high - low), 10.0)
    return low - air, high + air


def _noticed(nodes: dict) -> dict:
    for node in nodes.values():
        node.SetAttribute("T1Diff.Notice", RESEARCH_NOTICE)
    return nodes
