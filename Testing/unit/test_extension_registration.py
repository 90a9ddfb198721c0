"""T1Diff.py, as Slicer reads it: in a process of its own, with stand-ins for Slicer's base classes."""

import subprocess
import sys
import textwrap

import extension_path
import pytest

HOST = """
import importlib.util, sys, types

class Signal:
    def connect(self, name, f): connected.append((name, f))
    def disconnect(self, *_): pass

connected = []
slicer = types.ModuleType("slicer")
slicer.app = Signal()
slicer.modules = types.ModuleType("slicer.modules")
slicer.mrmlScene = None
qt = types.ModuleType("qt")
qt.QIcon = str
i18n = types.ModuleType("slicer.i18n")
i18n.tr = lambda text: text
i18n.translate = lambda context, text: text
util = types.ModuleType("slicer.util")
bases = types.ModuleType("slicer.ScriptedLoadableModule")

class VTKObservationMixin:
    removed = 0
    def __init__(self): super().__init__()
    def removeObservers(self): self.removed += 1
util.VTKObservationMixin = VTKObservationMixin

class ScriptedLoadableModule:
    def __init__(self, parent): self.parent = parent
class ScriptedLoadableModuleWidget:
    def __init__(self, parent=None):
        super().__init__()
        self.parent = parent
    def setup(self): pass
class ScriptedLoadableModuleLogic:
    def __init__(self, parent=None):
        super().__init__()
        self.moduleName = type(self).__name__.removesuffix("Logic")
class ScriptedLoadableModuleTest: pass
for one in (ScriptedLoadableModule, ScriptedLoadableModuleWidget, ScriptedLoadableModuleLogic,
            ScriptedLoadableModuleTest):
    setattr(bases, one.__name__, one)
sys.modules |= {"slicer": slicer, "slicer.i18n": i18n, "slicer.util": util, "qt": qt,
                "slicer.ScriptedLoadableModule": bases}
sys.path.append(EXTENSION)

def read():
    spec = importlib.util.spec_from_file_location("T1Diff", EXTENSION + "/T1Diff.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["T1Diff"] = module
    spec.loader.exec_module(module)
    return module

def panel(build):
    import T1DiffLib
    T1DiffLib.widget = sys.modules["T1DiffLib.widget"] = types.ModuleType("T1DiffLib.widget")
    T1DiffLib.widget.build = build
"""


@pytest.fixture
def in_slicer():
    def run(code):
        script = f"EXTENSION = {str(extension_path.EXTENSION)!r}\n" + HOST + textwrap.dedent(code)
        done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_the_module_registers_and_imports_nothing_heavy(in_slicer):
    in_slicer("""
        T1Diff = read()
        parent = types.SimpleNamespace()
        module = T1Diff.T1Diff(parent)
        assert parent.title == "T1Diff" and parent.categories == ["Cardiac"]
        assert "research only" in parent.helpText.lower()
        import os
        assert os.path.isfile(parent.icon) and os.path.isfile(module.resourcePath("UI/T1Diff.ui"))
        assert [name for name, _ in connected] == ["startupCompleted()"]
        import T1DiffLogic
        assert not hasattr(T1Diff, "T1DiffLogic"), "the package is what this name means"
        for heavy in ("torch", "numpy", "scipy", "pydicom", "SimpleITK", "matplotlib"):
            assert heavy not in sys.modules, heavy
    """)


def test_the_logic_is_there_before_the_panel_and_without_it(in_slicer):
    in_slicer("""
        T1Diff = read()
        class NoWindow(Exception): pass
        def build(widget):
            assert widget.logic.moduleName == "T1Diff"
            raise NoWindow
        panel(build)
        widget = T1Diff.T1DiffWidget(None)
        try: widget.setup()
        except NoWindow: pass
        assert type(widget.logic) is T1Diff.T1DiffModuleLogic and widget.logic.cine is None
        widget.enter(); widget.exit(); widget.cleanup()
    """)


def test_the_panel_lives_and_ends_with_the_widget(in_slicer):
    in_slicer("""
        T1Diff = read()
        calls = []
        life = types.SimpleNamespace(**{n: lambda n=n: calls.append(n) for n in ("enter", "exit", "cleanup")})
        panel(lambda widget: life)
        widget = T1Diff.T1DiffWidget(None)
        widget.setup(); widget.enter(); widget.exit(); widget.cleanup()
        assert calls == ["enter", "exit", "cleanup"] and widget.removed == 1
    """)


def test_reload_reads_everything_anew(in_slicer):
    in_slicer("""
        first = read()
        import T1DiffLib.paths, T1DiffLogic.errors
        before = sys.modules["T1DiffLib.module_logic"], T1DiffLogic.errors
        again = read()
        assert sys.modules["T1DiffLib.module_logic"] is before[0], "a second reading is no Reload"
        slicer.modules.T1DiffWidget = object()
        read()
        import T1DiffLogic.errors
        assert sys.modules["T1DiffLib.module_logic"] is not before[0]
        assert T1DiffLogic.errors is not before[1]
        assert "torch" not in sys.modules
    """)
