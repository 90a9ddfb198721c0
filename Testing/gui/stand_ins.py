"""The few CTK and qMRML widgets that the panel's .ui names, as small as they can be."""

from __future__ import annotations

import slicer
from PySide6 import QtCore, QtWidgets


class ctkCollapsibleButton(QtWidgets.QGroupBox):
    """A titled section that folds away."""

    contentsCollapsed = QtCore.Signal(bool)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._collapsed = self._folding = False
        self.setCheckable(True)
        self.toggled.connect(lambda on: self.setCollapsed(not on))
        self.setStyleSheet("QGroupBox { font-weight: bold; } QGroupBox * { font-weight: normal; }")

    def isCollapsed(self):
        return self._collapsed

    def setCollapsed(self, collapsed):
        changed, self._collapsed = collapsed != self._collapsed, collapsed
        self._fold()
        self.setChecked(not collapsed)
        if changed:
            self.contentsCollapsed.emit(collapsed)

    def childEvent(self, event):
        if event.added() and isinstance(event.child(), QtWidgets.QWidget):
            event.child().installEventFilter(self)
        super().childEvent(event)

    def eventFilter(self, child, event):
        # as CTK does: what is hidden or shown on its own account stays so when the section unfolds
        if event.type() in (QtCore.QEvent.ShowToParent, QtCore.QEvent.HideToParent) and not self._folding:
            child.setProperty("visibilityToParent", event.type() == QtCore.QEvent.ShowToParent)
            self._fold_one(child)
        return super().eventFilter(child, event)

    def _fold_one(self, child):
        self._folding = True
        child.setVisible(not self._collapsed and child.property("visibilityToParent") is not False)
        self._folding = False

    def _fold(self):
        self.setMaximumHeight(24 if self._collapsed else 16777215)
        for child in self.children():
            if isinstance(child, QtWidgets.QWidget):
                self._fold_one(child)

    collapsed = QtCore.Property(bool, isCollapsed, setCollapsed)
    text = QtCore.Property(str, QtWidgets.QGroupBox.title, QtWidgets.QGroupBox.setTitle)


class qMRMLNodeComboBox(QtWidgets.QComboBox):
    """Chooses one node of the scene."""

    currentNodeChanged = QtCore.Signal(object)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._types, self._none, self._none_text, self._ids, self._scene = [], True, "None", [None], None
        self.currentIndexChanged.connect(lambda _: self.currentNodeChanged.emit(self.currentNode()))
        self.setMinimumContentsLength(10)
        self.setSizeAdjustPolicy(QtWidgets.QComboBox.AdjustToMinimumContentsLengthWithIcon)

    def setMRMLScene(self, scene):
        self._scene = scene
        for event in (slicer.vtkMRMLScene.NodeAddedEvent, slicer.vtkMRMLScene.NodeRemovedEvent):
            scene.AddObserver(event, lambda *_: self._fill())
        scene.AddObserver(slicer.vtkMRMLScene.EndCloseEvent, lambda *_: self._fill())
        self._fill()

    def _fill(self):
        chosen = self._ids[self.currentIndex()] if 0 <= self.currentIndex() < len(self._ids) else None
        nodes = [n for kind in self._types for n in slicer.util.getNodesByClass(kind, self._scene)]
        nodes = [n for n in nodes if not n.GetHideFromEditors()]
        self._ids = [None, *(n.GetID() for n in nodes)]
        self.blockSignals(True)
        self.clear()
        self.addItems([self._none_text, *(n.GetName() for n in nodes)])
        self.setCurrentIndex(self._ids.index(chosen) if chosen in self._ids else 0)
        self.blockSignals(False)
        if chosen not in self._ids:
            self.currentNodeChanged.emit(None)

    def currentNode(self):
        index = self.currentIndex()
        known = self._scene is not None and 0 <= index < len(self._ids) and self._ids[index]
        return self._scene.GetNodeByID(self._ids[index]) if known else None

    def setCurrentNode(self, node):
        identifier = None if node is None else node.GetID()
        self.setCurrentIndex(self._ids.index(identifier) if identifier in self._ids else 0)

    nodeTypes = QtCore.Property("QStringList", lambda s: s._types, lambda s, v: setattr(s, "_types", list(v)))
    noneEnabled = QtCore.Property(bool, lambda s: s._none, lambda s, v: setattr(s, "_none", v))
    noneDisplay = QtCore.Property(str, lambda s: s._none_text, lambda s, v: setattr(s, "_none_text", v))
    showChildNodeTypes = QtCore.Property(bool, lambda s: False, lambda s, v: None)
    addEnabled = QtCore.Property(bool, lambda s: False, lambda s, v: None)
    removeEnabled = QtCore.Property(bool, lambda s: False, lambda s, v: None)


class qMRMLSegmentEditorWidget(QtWidgets.QGroupBox):
    """Holds what the panel sets; tests paint into the segmentation node itself."""

    def __init__(self, parent=None):
        super().__init__("Segment Editor", parent)
        self.segmentation = self.source = self.editor = None
        self.shortcuts = False
        layout = QtWidgets.QVBoxLayout(self)
        self.what = QtWidgets.QLabel("–")
        layout.addWidget(self.what)

    def setMRMLScene(self, scene):
        self._scene = scene

    def setMRMLSegmentEditorNode(self, node):
        self.editor = node

    def setSegmentationNode(self, node):
        self.segmentation = node
        self.what.setText(
            "–" if node is None else f"{node.GetName()}\nPaint · Draw · Erase · Smoothing · Undo"
        )

    def setSourceVolumeNode(self, node):
        self.source = node

    def setActiveEffect(self, effect):
        assert effect is None

    def setActiveEffectByName(self, name):
        assert name in ("", "Paint", "Draw", "Erase")

    def installKeyboardShortcuts(self):
        self.shortcuts = True

    def uninstallKeyboardShortcuts(self):
        self.shortcuts = False

    def setupViewObservations(self):
        pass

    def removeViewObservations(self):
        pass

    def updateWidgetFromMRML(self):
        pass

    def setMaximumNumberOfUndoStates(self, count):
        pass

    def setSegmentationNodeSelectorVisible(self, visible):
        pass

    def setSourceVolumeNodeSelectorVisible(self, visible):
        pass

    def setSwitchToSegmentationsButtonVisible(self, visible):
        pass

    def setAddRemoveSegmentButtonsVisible(self, visible):
        pass

    def setShow3DButtonVisible(self, visible):
        pass

    def setAutoShowSourceVolumeNode(self, show):
        pass
