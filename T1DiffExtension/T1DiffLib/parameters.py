"""What the panel remembers in the scene, so that a saved scene reopens where it was.

Values live in a parameterNodeWrapper; the nodes that belong to the study are node references of the
same vtkMRMLScriptedModuleNode, one role each, because a role may hold one node per slice.
"""

from __future__ import annotations

import enum
from typing import Annotated

import slicer
from slicer import vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

MODULE = "T1Diff"
_ROLE = "T1Diff."


class Preset(enum.Enum):
    """Which installed model draws the maps."""

    FAST = "fast"
    PAPER = "paper"

    def label(self) -> str:
        return {"fast": _("Fast"), "paper": _("Paper (1000 steps)")}[self.value]


class Device(enum.Enum):
    """What computes."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"

    def label(self) -> str:
        return {"auto": _("Automatic"), "cpu": _("Processor"), "cuda": _("Graphics card (CUDA)")}[self.value]


class Overlay(enum.Enum):
    """What lies over the cine."""

    T1 = "t1"
    SD = "t1_sd"
    DIFFERENCE = "difference"
    NATIVE = "native"
    NOTHING = ""

    def label(self) -> str:
        return {
            "t1": _("Synthetic T1"),
            "t1_sd": _("Uncertainty (SD)"),
            "difference": _("Difference: synthetic − native"),
            "native": _("Native T1"),
            "": _("Cine alone"),
        }[self.value]


class ScarRule(enum.Enum):
    """When a pixel counts as scar."""

    FIXED = "fixed"
    REMOTE = "remote"
    GIVEN = "given"

    def label(self) -> str:
        return {
            "fixed": _("Above 1250 ms"),
            "remote": _("Above remote + 2 SD"),
            "given": _("Above my threshold"),
        }[self.value]


@parameterNodeWrapper
class T1DiffParameterNode:
    """Choices of the user, and where the study stands.

    nativeT1        the measured map to compare with
    ed, es          phases counted from 0, -1 while unknown; edGiven, esGiven: set by the user
    samples, steps  0 leaves the number to the model
    modelFolder     in place of the preset's, "" for that one
    opacity         percent
    madeFrom        fingerprint of what the map in the scene was made from
    studyFolder     where the files of this study lie while Slicer runs, "" before there are any
    """

    nativeT1: vtkMRMLScalarVolumeNode
    ed: int = -1
    es: int = -1
    edGiven: bool = False
    esGiven: bool = False
    preset: Preset = Preset.FAST
    device: Device = Device.AUTO
    samples: Annotated[int, WithinRange(0, 64)] = 0
    steps: Annotated[int, WithinRange(0, 1000)] = 0
    seed: Annotated[int, WithinRange(0, 2147483647)] = 0
    modelFolder: str = ""
    overlay: Overlay = Overlay.T1
    opacity: Annotated[int, WithinRange(0, 100)] = 60
    hatching: bool = True
    scarRule: ScarRule = ScarRule.FIXED
    scarThresholdMs: Annotated[int, WithinRange(300, 3000)] = 1250
    comparing: bool = False
    madeFrom: str = ""
    studyFolder: str = ""


def scripted_node(scene=None):
    """The one vtkMRMLScriptedModuleNode of this module in the scene, made when absent.

    The same node that ScriptedLoadableModuleLogic.getParameterNode() gives: it goes by singleton tag.
    """
    scene = scene or slicer.mrmlScene
    node = scene.GetSingletonNode(MODULE, "vtkMRMLScriptedModuleNode")
    if node is None:
        made = scene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
        made.UnRegister(None)  # owned by the Python variable from here on
        made.SetSingletonTag(MODULE)
        made.SetName(MODULE)
        node = scene.AddNode(made)
    # closing a scene may clear the attribute
    node.SetAttribute("ModuleName", MODULE)
    return node


def model_settings(parameters) -> dict:
    """The settings that change the map, JSON values. The device changes only its rounding."""
    return {
        "preset": parameters.preset.value,
        "model": parameters.modelFolder,
        "samples": parameters.samples,
        "steps": parameters.steps,
        "seed": parameters.seed,
    }


class NodeBook:
    """Nodes of the study by role, kept as references of the parameter node and so with the scene."""

    def __init__(self, node):
        self._node = node

    def set(self, role: str, nodes) -> None:
        """`nodes` is a node, a list of them, or None to forget the role."""
        self._node.RemoveNodeReferenceIDs(_ROLE + role)
        if nodes is None:
            return
        for node in nodes if isinstance(nodes, list | tuple) else [nodes]:
            self._node.AddNodeReferenceID(_ROLE + role, node.GetID())

    def all(self, role: str) -> list:
        """The nodes of a role that are still in the scene."""
        count = self._node.GetNumberOfNodeReferences(_ROLE + role)
        found = [self._node.GetNthNodeReference(_ROLE + role, i) for i in range(count)]
        return [node for node in found if node is not None]

    def get(self, role: str):
        """The first node of a role, None when it has none."""
        return next(iter(self.all(role)), None)

    def set_many(self, nodes: dict, prefix: str = "") -> None:
        """One role for each name of `nodes`."""
        for name, node in nodes.items():
            self.set(prefix + name, node)

    def roles(self, prefix: str = "") -> list[str]:
        """Roles in use that begin with `prefix`."""
        roles = [
            self._node.GetNthNodeReferenceRole(i) for i in range(self._node.GetNumberOfNodeReferenceRoles())
        ]
        names = [r.removeprefix(_ROLE) for r in roles if r.startswith(_ROLE + prefix)]
        return [name for name in names if self.all(name)]

    def remove(self, prefix: str) -> None:
        """Take the nodes of every role that begins with `prefix` out of the scene."""
        for role in self.roles(prefix):
            for node in self.all(role):
                node.GetScene().RemoveNode(node)
            self.set(role, None)
