"""From an offer of the DICOM browser to nodes in the scene."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _


class Choice:
    """One Offer in the browser, shared by the loadables of its series.

    A stack of several series is loaded once, whichever of its loadables come first; loading one of
    them a second time loads the stack again.
    """

    def __init__(self, offer):
        self.offer = offer
        self._node_id = None
        self._served = set()

    @property
    def name(self) -> str:
        """What the browser lists."""
        if self.offer.kind == "cine":
            text = _("{label}: short-axis cine, {slices} slices, {phases} phases")
        else:
            text = _("{label}: T1 map in ms, {slices} slices")
        offer = self.offer
        return text.format(label=offer.label, slices=offer.n_slices, phases=offer.n_phases)

    @property
    def tooltip(self) -> str:
        if self.offer.kind == "cine":
            how = _("Slices are grouped by position, phases by trigger time; loads one 4D sequence.")
        else:
            how = _("Vendor scaling is resolved; loads scalar volumes in ms.")
        return f"{how} {self.offer.note}".strip()

    @property
    def warning(self) -> str:
        if self.offer.confirmed:
            return ""
        return _("Not known to be the short axis: {reason}.").format(reason=self.offer.note)

    def load(self, plugin, loadable):
        """Load it, or return the node that another loadable of the same stack has loaded."""
        node = None if self._node_id is None else slicer.mrmlScene.GetNodeByID(self._node_id)
        if node is None or id(loadable) in self._served:
            self._served.clear()
            node = (_load_cine if self.offer.kind == "cine" else _load_t1_map)(self.offer, plugin, loadable)
            self._node_id = node.GetID()
        self._served.add(id(loadable))
        return node


def _load_cine(offer, plugin, loadable):
    from T1DiffLogic.dicom.cine import read_cine
    from T1DiffLogic.scene import add_cine

    nodes = add_cine(read_cine(offer.source), slicer.mrmlScene)
    shown = nodes["cine_frame"]
    shown.SetName(slicer.mrmlScene.GenerateUniqueName(_("Cine {label}").format(label=offer.label)))
    plugin.addSeriesInSubjectHierarchy(loadable, shown)
    _show(shown)
    slicer.modules.sequences.setToolBarActiveBrowserNode(nodes["cine_browser"])
    return shown


def _load_t1_map(offer, plugin, loadable):
    from T1DiffLogic.dicom.t1map import read_t1_map

    from .t1_nodes import add_t1_map

    name = slicer.mrmlScene.GenerateUniqueName(_("T1 map {label}").format(label=offer.label))
    volumes = add_t1_map(read_t1_map(offer.source), slicer.mrmlScene, name)
    uids = " ".join(slicer.dicomDatabase.instanceForFile(path) for path in loadable.files)
    for volume in volumes:
        volume.SetAttribute("DICOM.instanceUIDs", uids)
        plugin.addSeriesInSubjectHierarchy(loadable, volume)
    _show(volumes[0])
    return volumes[0]


def _show(volume) -> None:
    """As Slicer's own readers do, and in its plane: an oblique stack is a sliver in the standard views."""
    from T1DiffLogic.scene import turn_views

    logic = slicer.app.applicationLogic()
    logic.GetSelectionNode().SetActiveVolumeID(volume.GetID())
    logic.PropagateVolumeSelection()
    turn_views(slicer.mrmlScene, volume)
    logic.FitSliceToBackground(False, False)  # without turning the views back
