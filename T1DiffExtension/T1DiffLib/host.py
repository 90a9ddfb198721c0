"""The few places where the panel calls into the Slicer application: views, dialogs, Segment Editor.

All else works on MRML and on the widgets of the .ui file, so that little depends on the application.
"""

from __future__ import annotations

import qt
import slicer
import vtk
from slicer.i18n import tr as _

from T1DiffLogic.scene import display

CURVE_VIEW, SCATTER_VIEW, AGREEMENT_VIEW, TABLE_VIEW = (
    "T1DiffCurve",
    "T1DiffScatter",
    "T1DiffAgreement",
    "T1DiffTable",
)
IMAGE_LAYOUT, CINE_LAYOUT, RESULT_LAYOUT, COMPARE_LAYOUT = 17200, 17201, 17202, 17203
"""Ids of our layouts; Slicer's own are below 100 and other extensions count from 500."""

_COLOURS = {"Red": "#F34A33", "Yellow": "#EDD54C", "Green": "#6EB04B"}


def _item(xml: str, size: int = 500) -> str:
    return f'<item splitSize="{size}">{xml}</item>'


def _slice(name: str) -> str:
    return (
        f'<view class="vtkMRMLSliceNode" singletontag="{name}">'
        '<property name="orientation" action="default">Axial</property>'
        f'<property name="viewlabel" action="default">{name[0]}</property>'
        f'<property name="viewcolor" action="default">{_COLOURS[name]}</property></view>'
    )


def _view(kind: str, tag: str) -> str:
    return (
        f'<view class="vtkMRML{kind}ViewNode" singletontag="{tag}">'
        f'<property name="viewlabel" action="default">{tag}</property></view>'
    )


def _split(direction: str, *items: str) -> str:
    return f'<layout type="{direction}" split="true">{"".join(items)}</layout>'


_LAYOUTS = {
    IMAGE_LAYOUT: _split("vertical", _item(_slice("Red"))),
    CINE_LAYOUT: _split("vertical", _item(_slice("Red"), 700), _item(_view("Plot", CURVE_VIEW), 300)),
    RESULT_LAYOUT: _split("vertical", _item(_slice("Red"), 650), _item(_view("Table", TABLE_VIEW), 350)),
    COMPARE_LAYOUT: _split(
        "vertical",
        _item(
            _split(
                "horizontal",
                *(_item(_slice(name)) for name in ("Red", "Yellow", "Green")),
            ),
            600,
        ),
        _item(
            _split(
                "horizontal",
                _item(_view("Plot", SCATTER_VIEW)),
                _item(_view("Plot", AGREEMENT_VIEW)),
                _item(_view("Table", TABLE_VIEW)),
            ),
            400,
        ),
    ),
}


def show_layout(layout: int) -> None:
    """Arranges the views; nothing without a main window."""
    manager = slicer.app.layoutManager()
    if manager is None:
        return
    node = manager.layoutLogic().GetLayoutNode()
    if not node.IsLayoutDescription(layout):
        node.AddLayoutDescription(layout, _LAYOUTS[layout])
    if node.GetViewArrangement() != layout:
        manager.setLayout(layout)


def slice_view(scene, name: str):
    """(slice node, composite node) of the view 'Red', 'Yellow' or 'Green', or None while there is none."""
    return next((pair for pair in display.slice_views(scene) if pair[0].GetLayoutName() == name), None)


def show_chart(scene, tag: str, chart) -> None:
    """Shows a plot chart node (None: nothing) in one of our plot views."""
    view = scene.GetSingletonNode(tag, "vtkMRMLPlotViewNode")
    if view is not None:
        view.SetPlotChartNodeID(chart.GetID() if chart is not None else None)


def show_table(scene, table) -> None:
    """Shows a table node (None: nothing) in our table view."""
    view = scene.GetSingletonNode(TABLE_VIEW, "vtkMRMLTableViewNode")
    if view is not None:
        view.SetTableNodeID(table.GetID() if table is not None else None)


def look_at(scene, name: str, volume, span_mm: float | None = None, centre=None) -> None:
    """Turns the slice view `name` into the plane of `volume`.

    span_mm  what the shorter side of the view shows; None shows all of the volume
    centre   (3,) RAS point in the middle of the view; None is the volume's own
    """
    pair = slice_view(scene, name)
    if pair is None:
        return
    node = pair[0]
    display.turn_to_volume(node, volume)
    if centre is not None:
        slicer.util.updateVTKMatrixFromArray(node.GetSliceToRAS(), _moved(node, centre))
        node.UpdateMatrices()
    across, down, through = node.GetFieldOfView()
    if span_mm is None:
        bounds, ras_to_slice = [0.0] * 6, vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(node.GetSliceToRAS(), ras_to_slice)
        volume.GetSliceBounds(bounds, ras_to_slice)
        scale = max((bounds[1] - bounds[0]) / across, (bounds[3] - bounds[2]) / down)
    else:
        scale = span_mm / min(across, down)
    node.SetFieldOfView(across * scale, down * scale, through)


def later(action) -> None:
    """Calls `action` when views that a layout has just made have got their size."""
    qt.QTimer.singleShot(150, action)


def _moved(node, centre):
    matrix = slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS())
    matrix[:3, 3] = centre
    return matrix


class SegmentEditor:
    """Slicer's Segment Editor widget, reduced to drawing: our segments, our volume, nothing to add."""

    def __init__(self, parent_layout):
        self.widget = slicer.qMRMLSegmentEditorWidget()
        self.widget.setMaximumNumberOfUndoStates(20)
        self.widget.setSegmentationNodeSelectorVisible(False)
        self.widget.setSourceVolumeNodeSelectorVisible(False)
        self.widget.setSwitchToSegmentationsButtonVisible(False)
        self.widget.setAddRemoveSegmentButtonsVisible(False)
        self.widget.setShow3DButtonVisible(False)
        self.widget.setAutoShowSourceVolumeNode(False)
        # the parameter node first, so that what is chosen when the scene is set lands in it
        self._choose_node()
        self.widget.setMRMLScene(slicer.mrmlScene)
        parent_layout.addWidget(self.widget)
        self._shortcuts = False

    def _choose_node(self):
        scene = slicer.mrmlScene
        node = scene.GetSingletonNode("T1DiffSegmentEditor", "vtkMRMLSegmentEditorNode")
        if node is None:
            made = scene.CreateNodeByClass("vtkMRMLSegmentEditorNode")
            made.UnRegister(None)
            made.SetSingletonTag("T1DiffSegmentEditor")
            made.SetOverwriteMode(slicer.vtkMRMLSegmentEditorNode.OverwriteAllSegments)
            node = scene.AddNode(made)
        self.widget.setMRMLSegmentEditorNode(node)

    def edit(self, segmentation, volume) -> None:
        """Edits `segmentation` on `volume`; None lets go of both."""
        self.widget.setActiveEffect(None)
        if segmentation is not None:
            self._choose_node()
        self.widget.setSegmentationNode(segmentation)
        self.widget.setSourceVolumeNode(volume)

    def enter(self) -> None:
        """The module is shown: keys work and views listen."""
        if not self._shortcuts:
            self.widget.setupViewObservations()
            self.widget.installKeyboardShortcuts()
            self._shortcuts = True

    def leave(self) -> None:
        """Another module is shown, or the scene closes."""
        self.widget.setActiveEffect(None)
        if self._shortcuts:
            self.widget.uninstallKeyboardShortcuts()
            self.widget.removeViewObservations()
            self._shortcuts = False


def choose_folder(parent, title: str) -> str:
    """A folder that the user chooses, "" when none."""
    return qt.QFileDialog.getExistingDirectory(parent, title)


def open_in_browser(path) -> None:
    """Opens a local file with whatever the system opens it with."""
    qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(path)))


def save_scene(path) -> bool:
    """Writes the scene as it stands to an .mrb file."""
    return bool(slicer.util.saveScene(str(path)))


def confirm(text: str) -> bool:
    """Asks; True for yes. True without asking under --testing."""
    return bool(slicer.util.confirmYesNoDisplay(text, windowTitle=_("T1Diff")))


def play(browser, on: bool) -> None:
    """Plays the cine, or stops it; the Sequences module moves the frames."""
    browser.SetPlaybackLooped(True)
    browser.SetPlaybackItemSkippingEnabled(False)
    browser.SetPlaybackActive(on)
