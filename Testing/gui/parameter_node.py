"""slicer.parameterNodeWrapper as far as the panel uses it: typed values on a vtkMRMLScriptedModuleNode.

Values are stored as Slicer stores them (parameters by name, enums by member name, nodes as references),
so that a scene written here holds what one written by Slicer holds.
"""

from __future__ import annotations

import enum
import sys
import typing

import vtk


class WithinRange:
    """Annotation: smallest and largest value."""

    def __init__(self, minimum, maximum):
        self.minimum, self.maximum = minimum, maximum


def parameterNodeWrapper(cls):
    """The class decorator."""
    hints = typing.get_type_hints(cls, vars(sys.modules[cls.__module__]), include_extras=True)
    kinds = {name: _kind(hint) for name, hint in hints.items()}
    defaults = {name: getattr(cls, name, None) for name in kinds}

    def __init__(self, node):
        self.parameterNode, self._connected, self._writing = node, {}, False
        for name, default in defaults.items():
            if not node.HasParameter(name):
                setattr(self, name, default)

    cls.__init__ = __init__
    for name, (kind, limits) in kinds.items():
        setattr(cls, name, property(_getter(name, kind), _setter(name, kind, limits)))
    cls._kinds = kinds
    cls.connectGui, cls.disconnectGui = _connect_gui, _disconnect_gui
    return cls


def _kind(hint):
    limits = next((a for a in getattr(hint, "__metadata__", ()) if isinstance(a, WithinRange)), None)
    return getattr(hint, "__origin__", hint), limits


def _getter(name, kind):
    def get(self):
        if issubclass(kind, vtk.vtkObject):
            return self.parameterNode.GetNodeReference(name)
        text = self.parameterNode.GetParameter(name)
        if kind is bool:
            return text == "True"
        return kind[text] if issubclass(kind, enum.Enum) else kind(text)

    return get


def _setter(name, kind, limits):
    def set_value(self, value):
        node = self.parameterNode
        if issubclass(kind, vtk.vtkObject):
            node.SetParameter(name, "")
            node.SetNodeReferenceID(name, None if value is None else value.GetID())
            return
        if not isinstance(value, kind):
            raise ValueError(f"{name} is {kind.__name__}, not {value!r}")
        if limits is not None and not limits.minimum <= value <= limits.maximum:
            raise ValueError(f"{name} = {value} is outside {limits.minimum}…{limits.maximum}")
        node.SetParameter(name, value.name if isinstance(value, enum.Enum) else str(value))

    return set_value


def _connect_gui(self, ui) -> int:
    tag = len(self._connected) + 1
    found = {}
    for widget in vars(ui).values():
        name = widget.property("SlicerParameterName")
        if name:
            found[name] = _Connector(self, name, widget, *self._kinds[name])
    observer = self.parameterNode.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: _update(self, tag))
    self._connected[tag] = (found, observer)
    _update(self, tag)
    return tag


def _update(self, tag):
    if self._writing or tag not in self._connected:
        return
    self._writing = True
    try:
        for connector in self._connected[tag][0].values():
            connector.write()
    finally:
        self._writing = False


def _disconnect_gui(self, tag):
    if tag in self._connected:
        found, observer = self._connected.pop(tag)
        self.parameterNode.RemoveObserver(observer)
        for connector in found.values():
            connector.alive = False


class _Connector:
    """One widget and one parameter, by the rules of Slicer's guiConnectors."""

    _SIGNALS = {
        "QComboBox": ("currentIndexChanged", "currentIndex"),
        "QSpinBox": ("valueChanged", "value"),
        "QSlider": ("valueChanged", "value"),
        "QCheckBox": ("toggled", "checked"),
        "QLineEdit": ("textChanged", "text"),
        "qMRMLNodeComboBox": ("currentNodeChanged", None),
    }

    def __init__(self, wrapper, name, widget, kind, limits):
        self.wrapper, self.name, self.widget, self.kind, self.alive = wrapper, name, widget, kind, True
        signal, self.attribute = self._SIGNALS[type(widget._qt).__name__]
        if limits is not None:
            widget.minimum, widget.maximum = limits.minimum, limits.maximum
        if issubclass(kind, enum.Enum):
            self.members = list(kind)
            widget.clear()
            for member in self.members:
                widget.addItem(member.label() if hasattr(member, "label") else member.name)
        getattr(widget, signal).connect(self.read)

    def read(self, *_):
        if self.alive and not self.wrapper._writing:
            setattr(self.wrapper, self.name, self._value())

    def _value(self):
        if self.attribute is None:
            return self.widget.currentNode()
        value = getattr(self.widget, self.attribute)
        return self.members[value] if issubclass(self.kind, enum.Enum) else value

    def write(self):
        value = getattr(self.wrapper, self.name)
        if self.attribute is None:
            self.widget.setCurrentNode(value)
        elif issubclass(self.kind, enum.Enum):
            self.widget.currentIndex = self.members.index(value)
        elif getattr(self.widget, self.attribute) != value:
            setattr(self.widget, self.attribute, value)
