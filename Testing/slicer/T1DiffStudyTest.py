"""In Slicer, with a window: a digital patient from folder to saved scene by clicks, and what goes wrong."""

import os
import shutil
import signal
import tempfile
import time
import unittest
from pathlib import Path

import slicer

WAIT_S = 600


def settle(seconds=0.6):
    """Lets Qt and the panel's settling timer do their work."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        slicer.app.processEvents()
        time.sleep(0.01)


class T1DiffStudyTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        from T1DiffLib import dependencies
        from T1DiffLib.sample_data import digital_patient_folder

        report = dependencies.examine()
        if not report.ready:
            raise unittest.SkipTest(report.sentence)
        if slicer.util.mainWindow() is None:
            raise unittest.SkipTest("there is no window to click in")
        cls.folder = digital_patient_folder(slicer.app.cachePath)

    def setUp(self):
        slicer.mrmlScene.Clear()
        slicer.util.selectModule("T1Diff")
        settle()
        self.panel = slicer.util.getModuleWidget("T1Diff").panel
        self.ui = self.panel.ui
        self.wait_for(lambda: self.panel.synthesis.looked)

    def wait_for(self, condition):
        until = time.monotonic() + WAIT_S
        while not condition():
            self.assertLess(time.monotonic(), until, "it takes too long")
            settle(0.05)

    def wait(self):
        self.wait_for(lambda: not self.panel.running)
        settle()

    def click(self, button):
        self.assertTrue(button.enabled, f"{button.objectName} is disabled")
        self.assertTrue(button.visible, f"{button.objectName} is hidden")
        button.click()
        settle(0.2)

    def usable(self):
        return [name for name, step in self.panel.states.items() if step.usable]

    def load(self):
        self.ui.folderEdit.text = str(self.folder)
        self.ui.folderEdit.returnPressed()
        self.wait()
        self.assertEqual(self.ui.messageLabel.text, "")

    def find(self):
        self.panel.open_step("phases")
        self.click(self.ui.findPhasesButton)
        self.wait()
        self.assertEqual(self.ui.messageLabel.text, "")

    def erase_slice(self, which, index):
        """Takes a slice away from every segment, through the editor's own way of changing a segment."""
        import numpy as np

        node = self.panel.session.segmentation(which)
        frame = self.panel.session.frame
        for name in list(node.GetSegmentation().GetSegmentIDs()):
            array = slicer.util.arrayFromSegmentBinaryLabelmap(node, name, frame)
            array = np.array(array)
            array[index] = 0
            slicer.util.updateSegmentBinaryLabelmapFromArray(array, node, name, frame)
        settle()

    def test_whole_workflow(self):
        import numpy as np

        from T1DiffLogic.scene.display import slice_views

        ui, panel = self.ui, self.panel
        self.assertEqual(self.usable(), ["cine"])
        self.load()
        session = panel.session
        cine = session.cine
        self.assertEqual(self.usable(), ["cine", "phases"])
        self.assertIsNotNone(session.parameters.nativeT1, "the native map of the folder comes along")

        # frames follow the slider, and the slider follows the browser
        ui.phaseSlider.value = 5
        shown = slicer.util.arrayFromVolume(session.frame)
        self.assertTrue(np.array_equal(shown, cine.images[:, 5]))
        session.browser.SetSelectedItemNumber(2)
        self.assertEqual(ui.phaseSlider.value, 2)
        before = session.browser.GetSelectedItemNumber()
        ui.playButton.checked = True
        settle(1.5)
        ui.playButton.checked = False
        self.assertNotEqual(session.browser.GetSelectedItemNumber(), before, "the cine does not play")

        self.find()
        self.assertEqual(self.usable(), ["cine", "phases", "review", "synthesis"])
        self.assertFalse(ui.reviewSection.collapsed)
        self.assertIn("EF", ui.functionLabel.text)
        self.assertIsNotNone(session.nodes.get("curve.area_chart"))

        # a correction in the editor's segmentation is what the map is made from
        inside = np.flatnonzero((session.reviewed("ed") == 3).any(axis=(1, 2)))
        self.erase_slice("ed", int(inside[0]))
        self.assertIn("Corrected: ED", ui.functionLabel.text)
        corrected = session.reviewed("ed")
        panel.open_step("synthesis")
        settle()
        ui.samplesSpin.value, ui.stepsSpin.value = 2, 4
        self.click(ui.synthesizeButton)
        self.wait()
        self.assertEqual(ui.messageLabel.text, "")
        synthesis = session.synthesis
        self.assertTrue(np.array_equal(synthesis.segmentation.labels_ed, corrected))
        self.assertIn("Scar", ui.scarLabel.text)
        self.assertIn("native map", ui.agreementLabel.text)
        views = {view.GetLayoutName(): composite for view, composite in slice_views(slicer.mrmlScene)}
        self.assertEqual(views["Red"].GetForegroundVolumeID(), session.nodes.get("result.t1").GetID())

        # its legend is drawn, and the side-by-side views have their maps
        self.assertTrue(session.nodes.get("result.t1_legend").GetVisibility())
        self.click(ui.compareButton)
        settle()
        self.assertEqual(
            {name: composite.GetForegroundVolumeID() for name, composite in views.items()}["Green"],
            session.nodes.get("result.difference").GetID(),
        )
        self.click(ui.compareButton)

        # saved, closed, opened: it stands where it was, without a file outside the scene
        folder = Path(tempfile.mkdtemp(prefix="T1DiffTest-", dir=slicer.app.temporaryPath))
        self.addCleanup(shutil.rmtree, folder, True)
        self.assertTrue(slicer.util.saveScene(str(folder / "study.mrb")))
        shutil.rmtree(session.parameters.studyFolder)
        slicer.mrmlScene.Clear()
        settle()
        self.assertEqual(self.usable(), ["cine"])
        slicer.util.loadScene(str(folder / "study.mrb"))
        settle(1.5)
        session = panel.session
        self.assertEqual(self.usable(), ["cine", "phases", "review", "synthesis", "results"])
        self.assertFalse(panel.states["results"].stale)
        self.assertTrue(np.array_equal(session.cine.images, cine.images))
        self.assertTrue(np.allclose(session.cine.trigger_ms, cine.trigger_ms))
        self.assertTrue(np.array_equal(session.reviewed("ed"), corrected))
        self.assertTrue(np.array_equal(session.synthesis.samples_ms, synthesis.samples_ms))
        self.assertIsNotNone(session.nodes.get("curve.area_chart"))

        # Reload takes the same study up again
        slicer.util.reloadScriptedModule("T1Diff")
        settle()
        panel = slicer.util.getModuleWidget("T1Diff").panel
        self.assertIsNot(panel, self.panel)
        self.assertIsNotNone(panel.session.synthesis)
        self.assertTrue(panel.states["results"].usable)

    def test_cancel_half_way_leaves_the_study_as_it_was(self):
        self.load()
        self.panel.open_step("phases")
        self.click(self.ui.findPhasesButton)
        self.wait_for(lambda: self.panel.engine._events.progress[0] == "segment")
        self.click(self.ui.cancelButton)
        self.wait()
        self.assertIn("Cancelled", self.ui.messageLabel.text)
        self.assertFalse(self.panel.session.has_contours)
        self.assertEqual(self.usable(), ["cine", "phases"])
        self.assertFalse(self.ui.progressFrame.visible)

    @unittest.skipIf(os.name == "nt", "ends a process by a signal")
    def test_a_crash_of_the_engine_is_a_message(self):
        self.load()
        self.panel.open_step("phases")
        self.click(self.ui.findPhasesButton)
        self.wait_for(lambda: self.panel.engine._events.progress[0] == "segment")
        from T1DiffLib.engine_process import process_tree

        for process in reversed(process_tree(int(self.panel.engine._process.processId()))):
            os.kill(process, signal.SIGSEGV)
        self.wait()
        self.assertTrue(self.ui.messageLabel.visible)
        self.assertIn("ended", self.ui.messageLabel.text)
        self.assertEqual(self.usable(), ["cine", "phases"])

    def test_torch_that_cannot_be_imported_disables_the_step_and_names_the_remedy(self):
        self.load()
        folder = Path(tempfile.mkdtemp(prefix="T1DiffTest-", dir=slicer.app.temporaryPath))
        self.addCleanup(shutil.rmtree, folder, True)
        (folder / "torch").mkdir()
        (folder / "torch" / "__init__.py").write_text("raise ImportError('libtorch_cpu.so: not found')\n")
        environment = self.panel.environment
        usual = environment["PYTHONPATH"]
        environment["PYTHONPATH"] = str(folder) + os.pathsep + usual
        try:
            self.panel.synthesis.look()
            self.wait_for(lambda: self.panel.synthesis.unusable)
            self.panel.open_step("synthesis")
            settle()
            self.assertIn("libtorch_cpu", self.ui.engineLabel.text)
            self.assertTrue(self.ui.mendButton.visible)
            self.assertFalse(self.ui.synthesizeButton.enabled)
        finally:
            environment["PYTHONPATH"] = usual
            self.panel.synthesis.look()
            self.wait_for(lambda: not self.panel.synthesis.unusable)

    def test_closing_the_scene_ends_what_runs(self):
        self.load()
        self.panel.open_step("phases")
        self.click(self.ui.findPhasesButton)
        settle()
        slicer.mrmlScene.Clear()
        settle()
        self.assertFalse(self.panel.engine.running)
        self.assertEqual(self.usable(), ["cine"])

    def test_outputs_are_written_from_inside_the_application(self):
        logic = slicer.util.getModuleLogic("T1Diff")
        logic.loadCine(self.folder)
        logic.synthesize(samples=1, steps=2)
        folder = Path(tempfile.mkdtemp(prefix="T1DiffTest-", dir=slicer.app.temporaryPath))
        self.addCleanup(shutil.rmtree, folder, True)
        logic.writeOutputs(folder / "out")
        self.assertTrue((folder / "out" / "scene.mrb").is_file())
        slicer.util.loadScene(str(folder / "out" / "scene.mrb"))
        self.assertGreater(len(slicer.util.getNodesByClass("vtkMRMLSegmentationNode")), 0)
