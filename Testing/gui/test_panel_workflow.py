"""The whole way of a digital patient through the panel, with real clicks and the real engine."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from T1DiffLogic.study import LV_CAVITY, LV_MYOCARDIUM


def erase_slice(segmentation, cine, index):
    """Takes every label of one slice away, as a brush would."""
    import slicer
    from vtk.util.numpy_support import vtk_to_numpy

    for number in range(segmentation.GetSegmentation().GetNumberOfSegments()):
        segment = segmentation.GetSegmentation().GetNthSegment(number)
        image = segment.GetRepresentation("Binary labelmap")
        extent = image.GetExtent()
        if not extent[4] <= index <= extent[5]:
            continue
        array = vtk_to_numpy(image.GetPointData().GetScalars())
        shape = [extent[5] - extent[4] + 1, extent[3] - extent[2] + 1, extent[1] - extent[0] + 1]
        array.reshape(shape)[index - extent[4]] = 0
        image.Modified()
    segmentation.GetSegmentation().InvokeEvent(slicer.vtkSegmentation.SourceRepresentationModified)


@pytest.mark.slow
def test_whole_workflow(shown, host, patient_files, tmp_path, monkeypatch):
    import slicer
    from T1DiffLib.t1_nodes import add_t1_map

    from T1DiffLogic.study_files import read_t1_map

    panel, ui = shown.panel, shown.ui
    assert shown.usable() == ["cine"] and not ui.findPhasesButton.enabled
    assert "RESEARCH ONLY" in ui.noticeLabel.text and ui.noticeLabel.visible

    # 1 cine
    shown.load(patient_files[0])
    assert ui.messageLabel.text == "" and "3 slices × 8 phases" in ui.cineInfoLabel.text
    volumes = add_t1_map(read_t1_map(patient_files[1]), slicer.mrmlScene, "Native T1")
    panel.session.take_native(volumes)
    shown.wait()
    assert ui.nativeSelector.currentNode().GetID() == volumes[0].GetID()
    assert shown.usable() == ["cine", "phases"]

    # 2 phases: the slider moves the frames, and the frames the slider
    ui.phaseSlider.value = 5
    browser = panel.session.browser
    assert browser.GetSelectedItemNumber() == 5
    np.testing.assert_array_equal(
        slicer.util.arrayFromVolume(panel.session.frame), panel.session.cine.images[:, 5]
    )
    browser.SetSelectedItemNumber(2)
    assert ui.phaseSlider.value == 2 and ui.phaseLabel.text.startswith("phase 2")
    host.click(ui.findPhasesButton)
    assert ui.progressFrame.visible and not ui.findPhasesButton.enabled
    shown.wait()
    assert ui.messageLabel.text == ""
    parameters = panel.session.parameters
    assert parameters.ed >= 0 and parameters.es >= 0 and parameters.ed != parameters.es
    assert "found" in ui.edLabel.text and panel.session.nodes.get("curve.area_chart") is not None
    assert shown.usable() == ["cine", "phases", "review", "synthesis"]
    assert not ui.reviewSection.collapsed and ui.phasesSection.collapsed

    # 3 review: contours show at their own phase only
    segmentation = panel.session.segmentation("ed")
    assert segmentation.GetDisplayNode().GetVisibility() and "EF" in ui.functionLabel.text
    ui.phaseSlider.value = (parameters.ed + 1) % 8
    assert not segmentation.GetDisplayNode().GetVisibility()
    host.click(ui.reviewEsButton)
    assert browser.GetSelectedItemNumber() == parameters.es
    assert panel.session.segmentation("es").GetDisplayNode().GetVisibility()
    host.click(ui.showAhaCheck)
    marks = slicer.util.arrayFromVolume(panel.session.nodes.get("review.marks"))
    assert len(np.unique(marks)) > 10

    # 4 synthesise, from what stands
    erase_slice(panel.session.segmentation("ed"), panel.session.cine, 0)
    host.spin(500)
    assert "Corrected: ED" in ui.functionLabel.text
    corrected = panel.session.reviewed("ed")
    assert not corrected[0].any() and (corrected[1] == LV_MYOCARDIUM).any()
    panel.open_step("synthesis")
    ui.samplesSpin.value, ui.stepsSpin.value = 2, 2
    assert parameters.samples == 2
    host.click(ui.synthesizeButton)
    shown.wait()
    assert ui.messageLabel.text == ""

    # 5 results: the map is of the corrected contours
    synthesis = panel.session.synthesis
    np.testing.assert_array_equal(synthesis.segmentation.labels_ed, corrected)
    assert not synthesis.valid[0].any() or synthesis.slices[0].level is None
    assert (synthesis.phases.ed, synthesis.phases.es) == (parameters.ed, parameters.es)
    t1 = panel.session.nodes.get("result.t1")
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(t1), synthesis.t1_ms)
    assert len(slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode")) == 1, "the cine is there once"
    red = next(c for v, c in views() if v.GetLayoutName() == "Red")
    assert red.GetForegroundVolumeID() == t1.GetID()
    assert red.GetForegroundOpacity() == pytest.approx(0.6)
    assert not panel.states["results"].stale and "✓" in ui.resultsSection.text
    assert "Scar" in ui.scarLabel.text and "native map" in ui.agreementLabel.text
    ui.opacitySlider.value = 30
    assert red.GetForegroundOpacity() == pytest.approx(0.3)
    before = ui.scarLabel.text
    ui.scarRuleCombo.currentIndex = 2
    ui.thresholdSpin.value = 1000
    host.spin(400)
    assert ui.thresholdSpin.enabled and ui.scarLabel.text != before and "1000 ms" in ui.scarLabel.text
    table = panel.session.nodes.get("result.table").GetTable()
    assert max(table.GetColumnByName("scar_fraction").GetValue(i) for i in range(16)) > 0.9

    # side by side
    ui.compareButton.checked = True
    host.spin(300)
    by_view = {v.GetLayoutName(): c.GetForegroundVolumeID() for v, c in views()}
    nodes = panel.session.nodes
    assert by_view["Yellow"] == nodes.get("result.native").GetID()
    assert by_view["Green"] == nodes.get("result.difference").GetID()
    plot = slicer.mrmlScene.GetSingletonNode("T1DiffAgreement", "vtkMRMLPlotViewNode")
    assert plot.GetPlotChartNodeID() == nodes.get("result.bland_altman_chart").GetID()

    # export
    monkeypatch.setattr("T1DiffLib.host.choose_folder", lambda *_: str(tmp_path / "exported"))
    (tmp_path / "exported").mkdir()
    host.click(ui.exportButton)
    written = {p.name for p in (tmp_path / "exported" / "T1Diff").iterdir()}
    assert {"report.html", "segments.csv", "segments_scar_1000.csv", "t1_map.nrrd"} <= written
    assert "slicer_scene.mrb" in written and "Exported" in ui.messageLabel.text

    # a correction makes the map stale, undoing it does not leave it so
    erase_slice(panel.session.segmentation("es"), panel.session.cine, 1)
    host.spin(500)
    assert panel.states["results"].stale and ui.staleLabel.visible
    assert "out of date" in ui.resultsSection.text

    # save and reopen
    panel.session.restore()
    erase_slice(panel.session.segmentation("ed"), panel.session.cine, 0)
    panel.review.show()
    panel.refresh()
    assert not panel.states["results"].stale
    scene_file = tmp_path / "saved.mrb"
    assert slicer.util.saveScene(str(scene_file))
    found, files = panel.session.found["labels"], Path(panel.session.parameters.studyFolder)
    slicer.mrmlScene.Clear()
    host.spin(300)
    assert shown.usable() == ["cine"] and panel.session.cine is None
    shutil.rmtree(files)  # another day, another machine: all there is is the scene
    assert slicer.mrmlScene.ReadFromMRB(str(scene_file))
    host.spin(500)
    assert panel.session.cine.n_phases == 8
    np.testing.assert_allclose(panel.session.cine.trigger_ms, synthesis.cine.trigger_ms)
    assert panel.session.parameters.samples == 2 and ui.samplesSpin.value == 2
    np.testing.assert_array_equal(panel.session.reviewed("ed"), corrected)
    assert shown.usable() == ["cine", "phases", "review", "synthesis", "results"]
    assert not panel.states["results"].stale
    assert (panel.session.reviewed("es") == LV_CAVITY).any()
    again = panel.session.synthesis
    np.testing.assert_array_equal(again.samples_ms, synthesis.samples_ms)
    np.testing.assert_array_equal(panel.session.found["labels"], found)
    assert panel.session.nodes.get("curve.area_chart") is not None and "Scar" in ui.scarLabel.text
    np.testing.assert_array_equal(panel.session.reviewed("ed"), corrected)
    ui.thresholdSpin.value = 1100
    host.spin(400)
    assert "1100 ms" in ui.scarLabel.text
    host.click(ui.exportButton)
    written = {p.name for p in (tmp_path / "exported" / "T1Diff_2").iterdir()}
    assert {"report.html", "segments_scar_1100.csv", "t1_map.nrrd", "slicer_scene.mrb"} <= written
    panel.open_step("review")
    host.click(ui.restoreButton)
    host.spin(400)
    assert (panel.session.reviewed("ed")[0] > 0).any() and panel.states["results"].stale


def views():
    import slicer

    from T1DiffLogic.scene.display import slice_views

    return slice_views(slicer.mrmlScene)
