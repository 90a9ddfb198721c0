"""In Slicer, with a window: the panel opens, follows the scene, survives Reload and a scene that closes."""

import unittest

import slicer

SECTIONS = ("cineSection", "phasesSection", "reviewSection", "synthesisSection", "resultsSection")


class T1DiffWorkflowTest(unittest.TestCase):
    def setUp(self):
        slicer.mrmlScene.Clear()
        if slicer.util.mainWindow() is not None:
            slicer.util.selectModule("T1Diff")
        self.widget = slicer.util.getModuleWidget("T1Diff")

    def control(self, name):
        # by the panel that is alive: Reload leaves the widgets of the last one behind, hidden
        return getattr(self.widget.panel.ui, name)

    def synthetic_cine(self):
        """A cine without a heart: enough to follow what the panel makes of it."""
        import numpy as np

        from T1DiffLogic import Cine, SliceGeometry

        geometries = tuple(
            SliceGeometry([0, 0, 8.0 * s], [1, 0, 0], [0, 1, 0], (1.5, 1.5), (64, 64)) for s in range(3)
        )
        images = np.random.default_rng(1).uniform(0, 200, (3, 8, 64, 64)).astype(np.float32)
        return Cine(images, geometries, np.tile(np.arange(8) * 100.0, (3, 1)))

    def test_the_research_notice_is_always_there(self):
        from T1DiffLogic.study import RESEARCH_NOTICE

        self.assertIn("RESEARCH ONLY", RESEARCH_NOTICE)
        self.assertIn("RESEARCH", self.control("noticeLabel").text.upper())

    def test_every_control_has_a_tooltip(self):
        kinds = {"QPushButton", "QComboBox", "QSpinBox", "QDoubleSpinBox", "QCheckBox", "QLineEdit"}
        controls = [c for c in vars(self.widget.panel.ui).values() if hasattr(c, "className")]
        # Qt gives the line edit inside its spin boxes a name of its own
        named = [c for c in controls if c.className() in kinds and not c.objectName.startswith("qt_")]
        self.assertGreater(len(named), 10)
        for control in named:
            self.assertTrue(control.toolTip, f"{control.objectName} has no tooltip")

    def test_steps_open_one_after_the_other(self):
        self.assertFalse(self.control("synthesizeButton").enabled)
        logic = slicer.util.getModuleLogic("T1Diff")
        logic.setCine(self.synthetic_cine())
        logic.addCineToScene()
        slicer.app.processEvents()
        combo = self.control("sceneCineCombo")
        self.assertGreater(combo.count, 0, "the cine of the scene is not offered")
        self.assertFalse(self.control("synthesizeButton").enabled, "nothing has been reviewed yet")

    def test_reload_leaves_one_working_panel(self):
        before = type(slicer.util.getModuleLogic("T1Diff"))
        last_panel = self.widget.panel
        slicer.util.reloadScriptedModule("T1Diff")
        self.widget = slicer.util.getModuleWidget("T1Diff")
        self.assertIsNot(type(slicer.util.getModuleLogic("T1Diff")), before)
        self.assertIsNot(type(self.widget.panel), type(last_panel), "the panels are read anew as well")
        self.assertFalse(last_panel.ui.synthesizeButton.visible)
        self.assertFalse(self.control("synthesizeButton").enabled)

    def test_closing_the_scene_starts_over(self):
        logic = slicer.util.getModuleLogic("T1Diff")
        logic.setCine(self.synthetic_cine())
        logic.addCineToScene()
        slicer.app.processEvents()
        slicer.mrmlScene.Clear()
        slicer.app.processEvents()
        self.assertFalse(self.control("synthesizeButton").enabled)

    def test_all_sections_are_there(self):
        for name in SECTIONS:
            self.control(name)
