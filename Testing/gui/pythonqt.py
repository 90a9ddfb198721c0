"""PythonQt's spellings on top of PySide6: what Slicer's `import qt` means, for code that runs outside Slicer.

Strict where PythonQt is strict, so that a wrong spelling fails here before it fails in Slicer: Qt
properties are attributes and cannot be called, unknown attributes cannot be set, keyword arguments are
refused, and signals are connected as `widget.connect("clicked()", f)` or `widget.clicked.connect(f)`.
"""

from __future__ import annotations

import types

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

ROOMS = (QtCore, QtGui, QtWidgets)
errors: list[BaseException] = []
"""Exceptions raised in slots: Qt swallows them, tests must not."""

custom_widgets: list[type] = []
"""Classes that .ui files name and PySide6 lacks; the host registers its stand-ins here."""


def wrap(value):
    """Qt objects as PythonQt would show them; other values as they are."""
    if isinstance(value, QtCore.QObject):
        return Wrapped(value)
    if isinstance(value, list | tuple):
        return type(value)(wrap(v) for v in value)
    return value


def unwrap(value):
    """The PySide6 object behind a wrapped one."""
    if isinstance(value, Wrapped):
        return value._qt
    if isinstance(value, WrappedClass):
        return value._class
    if isinstance(value, list | tuple):
        return type(value)(unwrap(v) for v in value)
    return value


def _guarded(function, count=None):
    """`function` as a slot that takes `count` arguments (None: as many as come) and reports its errors."""

    def slot(*arguments):
        try:
            function(*(wrap(a) for a in (arguments if count is None else arguments[:count])))
        except BaseException as error:
            errors.append(error)
            raise

    return slot


class WrappedSignal:
    """`widget.clicked`."""

    def __init__(self, signal):
        self._signal = signal

    def connect(self, function):
        self._signal.connect(_guarded(function))

    def emit(self, *arguments):
        self._signal.emit(*(unwrap(a) for a in arguments))


class Wrapped:
    """One Qt object under PythonQt's rules."""

    def __init__(self, qt_object):
        object.__setattr__(self, "_qt", qt_object)

    def __eq__(self, other):
        return isinstance(other, Wrapped) and other._qt is self._qt

    def __hash__(self):
        return hash(self._qt)

    def __repr__(self):
        return f"{type(self._qt).__name__}({self._qt.objectName()!r})"

    def _is_property(self, name: str) -> bool:
        known = self._qt.metaObject().indexOfProperty(name) >= 0
        return known or name.encode() in [bytes(n.data()) for n in self._qt.dynamicPropertyNames()]

    def __getattr__(self, name):
        name = "objectName" if name == "name" else name
        if self._is_property(name):
            return wrap(self._qt.property(name))
        value = getattr(self._qt, name)
        if isinstance(value, QtCore.SignalInstance):
            return WrappedSignal(value)
        if not callable(value):
            return value

        def method(*arguments, **keywords):
            if keywords:
                raise TypeError(f"{name}() takes no keyword arguments in PythonQt")
            return wrap(value(*(unwrap(a) for a in arguments)))

        return method

    def __setattr__(self, name, value):
        name = "objectName" if name == "name" else name
        if isinstance(self._qt, QtCore.QTimer) and name == "singleShot":
            raise AttributeError("QTimer.singleShot is the static function in Slicer; call setSingleShot")
        if not self._is_property(name):
            raise AttributeError(f"{type(self._qt).__name__} has no property {name!r}")
        value = list(value) if isinstance(value, tuple) else value
        if not self._qt.setProperty(name, unwrap(value)):
            raise AttributeError(f"{type(self._qt).__name__}.{name} cannot be set to {value!r}")

    def connect(self, signature, function):
        """PythonQt's `connect("name(type,…)", f)`: f gets as many arguments as the signature names."""
        name, _, rest = signature.partition("(")
        kinds = rest.rstrip(")")
        signal = getattr(self._qt, name)
        if not isinstance(signal, QtCore.SignalInstance):
            raise ValueError(f"{type(self._qt).__name__} has no signal {signature}")
        signal.connect(_guarded(function, len(kinds.split(",")) if kinds else 0))
        return True

    def property(self, name):
        return wrap(self._qt.property(name))


class WrappedClass:
    """A class of `qt`: called it makes an object, and its enums and static functions are attributes."""

    def __init__(self, qt_class):
        self._class = qt_class

    def __call__(self, *arguments, **keywords):
        if keywords:
            raise TypeError(f"{self._class.__name__}() takes no keyword arguments in PythonQt")
        return wrap(self._class(*(unwrap(a) for a in arguments)))

    def __getattr__(self, name):
        value = getattr(self._class, name)
        if not callable(value) or isinstance(value, type):
            return value

        def static(*arguments, **keywords):
            if keywords:
                raise TypeError(f"{name}() takes no keyword arguments in PythonQt")
            called = [
                _guarded(a) if isinstance(a, types.FunctionType | types.MethodType) else a for a in arguments
            ]
            return wrap(value(*(unwrap(a) for a in called)))

        return static


class _Loader(QtUiTools.QUiLoader):
    def __init__(self):
        super().__init__()
        for widget in custom_widgets:
            self.registerCustomWidget(widget)


class QtModule(types.ModuleType):
    """`import qt`."""

    def __getattr__(self, name):
        if name == "QUiLoader":
            return WrappedClass(_Loader)
        for room in ROOMS:
            if hasattr(room, name):
                value = getattr(room, name)
                return value if name == "Qt" or not isinstance(value, type) else WrappedClass(value)
        raise AttributeError(f"qt has no {name}")
