"""T1Diff in 3D Slicer: registration only. The panels and the console API are in T1DiffLib."""

import sys

import qt
import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

if hasattr(slicer.modules, "T1DiffWidget"):
    # Reload runs this file again and nothing else: what it delegates to has to be read anew as well
    for _name in [n for n in sys.modules if n.split(".")[0] in ("T1DiffLib", "T1DiffLogic")]:
        del sys.modules[_name]

from T1DiffLib import paths  # noqa: E402  (also makes T1DiffLogic importable in the console)
from T1DiffLib.module_logic import ModuleLogic  # noqa: E402
from T1DiffLib.sample_data import register_sample_data  # noqa: E402


class T1Diff(ScriptedLoadableModule):
    """What the module list and the help section show."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = "T1Diff"
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Cardiac")]
        self.parent.dependencies = []
        self.parent.contributors = ["The T1Diff contributors"]
        self.parent.helpText = _(
            "Synthesises native T1 maps of the left ventricle from short-axis cine MRI with a conditional "
            "diffusion model. For research only, not for clinical use."
        )
        self.parent.acknowledgementText = _("Built on the published T1Diff method; see docs/method.md.")
        # the base class looks for the icon beside this file only, where the source tree has no Resources
        self.parent.icon = qt.QIcon(self.resourcePath("Icons/T1Diff.png"))
        slicer.app.connect("startupCompleted()", register_sample_data)

    def resourcePath(self, filename):
        return paths.resource(filename)


class T1DiffWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The module panel. T1DiffLib.widget.build makes it and returns an object with enter, exit, cleanup."""

    def __init__(self, parent=None):
        self.logic = None
        self.panel = None
        VTKObservationMixin.__init__(self)
        ScriptedLoadableModuleWidget.__init__(self, parent)

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        # before the panel: slicer.util.getModuleLogic reads this attribute, with or without a window
        self.logic = T1DiffModuleLogic()
        from T1DiffLib.widget import build

        self.panel = build(self)

    def resourcePath(self, filename):
        return paths.resource(filename)

    def enter(self):
        if self.panel is not None:
            self.panel.enter()

    def exit(self):
        if self.panel is not None:
            self.panel.exit()

    def cleanup(self):
        if self.panel is not None:
            self.panel.cleanup()
        self.removeObservers()


class T1DiffModuleLogic(ModuleLogic, ScriptedLoadableModuleLogic):
    """The console API. Not called T1DiffLogic, which is the package that does the work."""

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        ModuleLogic.__init__(self)
        self.moduleName = "T1Diff"  # the base class would derive "T1DiffModule" from the class name


class T1DiffTest(ScriptedLoadableModuleTest):
    """The self-test behind "Reload and Test" and CTest."""

    def runTest(self):
        from T1DiffLib.self_test import run

        run(self)
