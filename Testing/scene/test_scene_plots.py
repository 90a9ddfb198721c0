"""Plots and tables: the numbers that they hold, refreshed in place, and kept in a saved scene."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install 't1diff[scene]')")

import slicer  # noqa: E402

from T1DiffLogic.scene import (  # noqa: E402
    add_agreement_plots,
    add_area_curve,
    add_segment_table,
    headless_scene,
    load_scene,
    update_area_curve,
    update_segment_table,
)
from T1DiffLogic.statistics import agreement, scar_rule, segment_table  # noqa: E402
from T1DiffLogic.study import RESEARCH_NOTICE  # noqa: E402

TIMES = 12.5 + 80.0 * np.arange(10)
AREA = 1500 + 700 * np.cos(2 * np.pi * np.arange(10) / 10)


@pytest.fixture
def scene():
    scene = headless_scene()
    yield scene
    scene.Clear(True)


def drawn(series):
    """What a plot view draws: the x and y columns that a series names, by its own table."""
    table = series.GetTableNode().GetTable()
    columns = []
    for name in (series.GetXColumnName(), series.GetYColumnName()):
        column = table.GetColumnByName(name)
        assert column is not None, f"{series.GetName()} draws a column that is not there: {name}"
        columns.append([column.GetValue(i) for i in range(column.GetNumberOfValues())])
    return np.array(columns)


def series_of(chart):
    return [chart.GetNthPlotSeriesNode(i) for i in range(chart.GetNumberOfPlotSeriesNodes())]


def test_area_curve_and_its_marks(scene):
    nodes = add_area_curve(TIMES, AREA, 0, 5, scene)
    curve, ed, es = series_of(nodes["area_chart"])
    np.testing.assert_allclose(drawn(curve), [TIMES, AREA / 100])
    np.testing.assert_allclose(drawn(ed), [[12.5], [22.0]])
    np.testing.assert_allclose(drawn(es), [[412.5], [8.0]])
    assert "ms" in nodes["area_chart"].GetXAxisTitle() and "cm²" in nodes["area_chart"].GetYAxisTitle()
    assert "research only" in nodes["area_chart"].GetTitle()
    assert all(node.GetAttribute("T1Diff.Notice") == RESEARCH_NOTICE for node in nodes.values())

    count = scene.GetNumberOfNodes()
    chart = nodes["area_chart"]
    low, high = chart.GetYAxisRange()
    assert low < AREA.min() / 100 and high > AREA.max() / 100 and chart.GetXAxisRange()[0] < TIMES.min()
    update_area_curve(nodes, TIMES, AREA * 2, 9, 4)
    np.testing.assert_allclose(drawn(curve), [TIMES, AREA / 50])
    np.testing.assert_allclose(drawn(ed), [[TIMES[9]], [AREA[9] / 50]])
    np.testing.assert_allclose(drawn(es), [[TIMES[4]], [AREA[4] / 50]])
    assert (ed.GetName(), es.GetName()) == ("ED 9", "ES 4")
    assert scene.GetNumberOfNodes() == count
    update_area_curve(nodes, TIMES[:7], AREA[:7], 0, 5)  # another cine
    np.testing.assert_allclose(drawn(curve), [TIMES[:7], AREA[:7] / 100])


def test_agreement_plots_hold_the_statistics(scene, synthesis):
    figures = agreement(synthesis)
    nodes = add_agreement_plots(figures, scene)
    rows = [r for r in figures["segments"] if r["n"]]
    native = np.array([r["native_mean_ms"] for r in rows])
    synthetic = np.array([r["synthetic_mean_ms"] for r in rows])
    points, identity = series_of(nodes["scatter_chart"])
    np.testing.assert_allclose(drawn(points), [native, synthetic])
    x, y = drawn(identity)
    np.testing.assert_array_equal(x, y)
    assert x[0] < min(native.min(), synthetic.min()) and x[1] > max(native.max(), synthetic.max())

    points, bias, *limits = series_of(nodes["bland_altman_chart"])
    np.testing.assert_allclose(drawn(points), [(native + synthetic) / 2, synthetic - native])
    np.testing.assert_allclose(drawn(bias)[1], figures["bias_ms"])
    np.testing.assert_allclose([drawn(line)[1][0] for line in limits], figures["loa_ms"])
    assert points.GetLabelColumnName() == "segment"
    names = points.GetTableNode().GetTable().GetColumnByName("segment")
    assert names.GetValue(0) == rows[0]["name"]


def test_agreement_without_a_pair_or_with_a_single_one(scene, synthesis):
    figures = agreement(synthesis)
    none = figures | {"segments": [r | {"n": 0} for r in figures["segments"]]}
    assert add_agreement_plots(none, scene) == {}
    one = figures | {"segments": figures["segments"][:1], "loa_ms": None}
    nodes = add_agreement_plots(one, scene)
    assert nodes["bland_altman_chart"].GetNumberOfPlotSeriesNodes() == 2


def test_table_is_refreshed_in_place(scene, synthesis):
    node = add_segment_table(segment_table(synthesis), scene)
    table_id = node.GetID()
    fixed = slicer.util.arrayFromTableColumn(node, "scar_fraction").copy()
    update_segment_table(node, segment_table(synthesis, scar_rule(synthesis, 1100.0)))
    rows = segment_table(synthesis, scar_rule(synthesis, 1100.0))
    assert node.GetID() == table_id and node.GetNumberOfColumns() == 9 and node.GetNumberOfRows() == 16
    found = slicer.util.arrayFromTableColumn(node, "scar_fraction")
    np.testing.assert_allclose(found, [np.nan if r.scar_fraction is None else r.scar_fraction for r in rows])
    assert np.nanmean(found) > np.nanmean(fixed) + 0.2
    assert node.GetTable().GetValueByName(0, "id").ToInt() == 1
    assert node.GetTable().GetValueByName(0, "name").ToString() == rows[0].name


def test_plots_survive_a_saved_scene(tmp_path, synthesis):
    scene = headless_scene()
    nodes = add_area_curve(TIMES, AREA, 0, 5, scene) | add_agreement_plots(agreement(synthesis), scene)
    titles = {key: nodes[key].GetName() for key in ("area_chart", "scatter_chart", "bland_altman_chart")}
    before = {key: [drawn(s) for s in series_of(nodes[key])] for key in titles}
    scene.SetRootDirectory(str(tmp_path))
    scene.SetURL(str(tmp_path / "s.mrml"))
    assert scene.WriteToMRB(str(tmp_path / "s.mrb"), None)
    scene.Clear(True)
    restored = load_scene(tmp_path / "s.mrb")
    for key, title in titles.items():
        after = [drawn(s) for s in series_of(restored.GetFirstNodeByName(title))]
        assert len(after) == len(before[key])
        for a, b in zip(after, before[key]):
            np.testing.assert_allclose(a, b, rtol=1e-5)
    restored.Clear(True)
