"""A small stand-in for the Slicer application around the real panel: real MRML, real Qt, no Slicer.

`start()` puts `qt` and `ctk` into sys.modules and gives `slicer` the names that the panel uses. Only
what T1DiffExtension/T1DiffLib calls is here; a name it should not use is missing.
"""

from __future__ import annotations

import sys
import time
import types
from pathlib import Path

import slicer
from PySide6 import QtCore, QtWidgets

from T1DiffLogic.scene import headless_scene

from . import parameter_node, pythonqt, stand_ins

ROOT = Path(__file__).parents[2]


class LayoutManager:
    """slicer.app.layoutManager(): the real layout logic makes the view nodes of a layout."""

    def __init__(self):
        self._logic = None

    def follow(self, scene):
        self._logic = slicer.vtkMRMLLayoutLogic()
        self._logic.SetMRMLScene(scene)

    def layoutLogic(self):
        return self._logic

    def setLayout(self, layout):
        self._logic.GetLayoutNode().SetViewArrangement(layout)
        # the application's slice views bring a composite node for each slice node
        for node in slicer.util.getNodesByClass("vtkMRMLSliceNode", slicer.mrmlScene):
            name = node.GetLayoutName()
            known = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode", slicer.mrmlScene)
            if name not in [c.GetLayoutName() for c in known]:
                composite = slicer.vtkMRMLSliceCompositeNode()
                composite.SetLayoutName(name)
                composite.SetSingletonTag(name)
                slicer.mrmlScene.AddNode(composite)
            if node.GetDimensions()[0] < 10:
                node.SetDimensions(300, 300, 1)


class Application:
    """slicer.app."""

    def __init__(self, folder):
        self.temporaryPath = self.cachePath = str(folder)
        self._manager = LayoutManager()

    def layoutManager(self):
        return self._manager

    def testingEnabled(self):
        return True

    def coreIOManager(self):
        return self

    def saveNodes(self, kind, properties, messages):
        """slicer.util.saveScene ends here."""
        path = Path(properties["fileName"])
        slicer.mrmlScene.SetRootDirectory(str(path.parent))
        slicer.mrmlScene.SetURL(str(path.with_suffix(".mrml")))
        return bool(slicer.mrmlScene.WriteToMRB(str(path), None))


class ModuleWidget:
    """What T1DiffWidget offers to T1DiffLib.widget.build."""

    def __init__(self):
        self.frame = QtWidgets.QWidget()
        self.layout = pythonqt.wrap(QtWidgets.QVBoxLayout(self.frame))

    def resourcePath(self, name):
        return str(ROOT / "Resources" / name)


def start() -> None:
    """Once per process: the names of Slicer, on an off-screen Qt."""
    if "qt" in sys.modules:
        return
    QtWidgets.QApplication.instance() or QtWidgets.QApplication(["T1Diff"])
    pythonqt.custom_widgets += [stand_ins.ctkCollapsibleButton, stand_ins.qMRMLNodeComboBox]
    sys.modules["qt"] = pythonqt.QtModule("qt")
    sys.modules["ctk"] = types.ModuleType("ctk")
    i18n = types.ModuleType("slicer.i18n")
    i18n.tr = lambda text: text
    sys.modules["slicer.i18n"] = slicer.i18n = i18n
    wrapper = types.ModuleType("slicer.parameterNodeWrapper")
    wrapper.parameterNodeWrapper = parameter_node.parameterNodeWrapper
    wrapper.WithinRange = parameter_node.WithinRange
    sys.modules["slicer.parameterNodeWrapper"] = slicer.parameterNodeWrapper = wrapper
    slicer.qMRMLSegmentEditorWidget = lambda: pythonqt.wrap(stand_ins.qMRMLSegmentEditorWidget())
    sys.path.insert(0, str(ROOT / "T1DiffExtension"))


def stop() -> None:
    """Takes the names away again, so that other tests of this process find the plain wheel."""
    for name in list(sys.modules):
        if (
            name in ("qt", "ctk", "slicer.i18n", "slicer.parameterNodeWrapper")
            or name.split(".")[0] == "T1DiffLib"
        ):
            del sys.modules[name]
    for name in ("i18n", "parameterNodeWrapper", "qMRMLSegmentEditorWidget", "app"):
        if hasattr(slicer, name):
            delattr(slicer, name)
    pythonqt.custom_widgets.clear()
    sys.path.remove(str(ROOT / "T1DiffExtension"))


def new_scene(temporary: Path) -> None:
    """A new scene in a new application."""
    slicer.app = None  # headless_scene makes the logics that the application would bring
    scene = headless_scene()
    manager, store = slicer.vtkDataIOManager(), slicer.vtkCacheManager()
    manager.SetCacheManager(store)
    scene.SetCacheManager(store)
    scene.SetDataIOManager(manager)
    slicer.app = Application(temporary)
    store.SetRemoteCacheDirectory(str(temporary))
    slicer.app.layoutManager().follow(scene)


def wait_for(condition, seconds: float = 600.0) -> None:
    """Runs the event loop until `condition()`; fails on an error in a slot or after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        spin()
        if time.monotonic() > end:
            raise TimeoutError("the condition did not come true")


def spin(milliseconds: int = 20) -> None:
    """Lets Qt work for a moment; raises what a slot raised meanwhile."""
    loop = QtCore.QEventLoop()
    QtCore.QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()
    raise_errors()


def raise_errors() -> None:
    """Raises the first error of a slot, which Qt has swallowed."""
    if pythonqt.errors:
        error = pythonqt.errors[0]
        pythonqt.errors.clear()
        raise error


def click(widget) -> None:
    """A real click with the left button in the middle of a widget, which must be enabled and visible."""
    from PySide6.QtTest import QTest

    target = pythonqt.unwrap(widget)
    assert target.isEnabled(), f"{target.objectName()} is disabled"
    assert target.isVisible(), f"{target.objectName()} is hidden"
    position = target.rect().center()
    if isinstance(target, QtWidgets.QAbstractButton):
        position = QtCore.QPoint(8, target.height() // 2)  # on the box of a check box, not beside its text
    QTest.mouseClick(target, QtCore.Qt.LeftButton, QtCore.Qt.NoModifier, position)
    raise_errors()
