"""The one action that mends Slicer's Python: asked for, never in a headless run, Slicer's own left alone."""

import importlib
import sys
import types
from pathlib import Path

import extension_path  # noqa: F401
import pytest
from T1DiffLib.dependencies import Package, Report, Torch

OWN = (
    Package("numpy", "2.0", "2.4.1"),
    Package("SimpleITK", "2.3", "2.5.0"),
    Package("pydicom", "2.4", "3.0.1"),
)
TORCH = Package("torch", "2.3", "2.9.0")
NO_TORCH = Report((*OWN, Package("torch", "2.3", None)), Torch(problem="it is not installed"))
NO_COLOURS = Report((*OWN, TORCH, Package("cmcrameri", "1.8", None)), Torch("2.9.0"))
BROKEN = Report((*OWN, TORCH), Torch(problem="OSError"))


class Slicer(types.ModuleType):
    """The names of the application that installing.py calls."""

    def __init__(self, window=True, testing=False, answer=True):
        super().__init__("slicer")
        self.asked, self.selected, self.installed = [], [], []
        model = types.SimpleNamespace(installExtensionFromServer=self.extension)
        self.app = types.SimpleNamespace(testingEnabled=lambda: testing, extensionsManagerModel=lambda: model)
        self.modules = types.SimpleNamespace()
        self.util = types.SimpleNamespace(
            mainWindow=lambda: object() if window else None,
            confirmOkCancelDisplay=lambda text: self.asked.append(text) or answer,
            selectModule=self.selected.append,
            pip_install=self.installed.append,
        )

    def extension(self, name, restart):
        self.installed.append((name, restart))
        return True


@pytest.fixture
def within(monkeypatch):
    """installing.py as it is within a given Slicer."""

    def load(host, packaging=None, utilities=None):
        translation = types.ModuleType("slicer.i18n")
        translation.tr = lambda text: text
        monkeypatch.setitem(sys.modules, "slicer", host)
        monkeypatch.setitem(sys.modules, "slicer.i18n", translation)
        monkeypatch.setitem(sys.modules, "slicer.packaging", packaging)
        monkeypatch.setitem(sys.modules, "PyTorchUtils", utilities)
        monkeypatch.delitem(sys.modules, "T1DiffLib.installing", raising=False)
        # reloading, which other tests do, makes T1DiffLib anew: what is imported now is what counts
        monkeypatch.delattr(importlib.import_module("T1DiffLib"), "installing", raising=False)
        installing = importlib.import_module("T1DiffLib.installing")
        monkeypatch.setattr(installing.dependencies, "examine", lambda: "looked again")
        return installing

    yield load
    # what was imported belongs to this stand-in alone; what was there before comes back
    sys.modules.pop("T1DiffLib.installing", None)
    vars(importlib.import_module("T1DiffLib")).pop("installing", None)


def torch_utilities(install):
    module = types.ModuleType("PyTorchUtils")
    module.PyTorchUtilsLogic = lambda: types.SimpleNamespace(installTorch=install)
    return module


@pytest.mark.parametrize("host", [{"window": False}, {"testing": True}])
@pytest.mark.parametrize("report", [NO_TORCH, NO_COLOURS, BROKEN])
def test_nothing_is_asked_or_installed_without_a_window(within, host, report):
    slicer = Slicer(**host)
    installing = within(slicer)
    with pytest.raises(installing.CannotInstall, match="without a window"):
        installing.mend(report)
    assert not slicer.asked and not slicer.installed and not slicer.selected


def test_a_complete_installation_is_left_alone(within):
    complete = Report((*OWN, TORCH), Torch("2.9.0"))
    assert within(Slicer(window=False)).mend(complete) is complete


def test_packages_go_through_slicers_installer_with_its_own_held_fast(within):
    seen = {}

    def pip_ensure(wanted, constraints=None, requester=None):
        seen.update(wanted=wanted, held=Path(constraints).read_text().split(), requester=requester)

    packaging = types.ModuleType("slicer.packaging")
    packaging.pip_ensure = pip_ensure
    assert within(Slicer(), packaging).mend(NO_COLOURS) == "looked again"
    assert seen["wanted"] == ["cmcrameri>=1.8"] and seen["requester"] == "T1Diff"
    assert sorted(seen["held"]) == ["SimpleITK==2.5.0", "numpy==2.4.1", "pydicom==3.0.1"]


def test_slicer_5_10_has_no_packaging_and_asks_by_itself(within):
    slicer = Slicer()
    within(slicer).mend(NO_COLOURS)
    (arguments,) = slicer.installed
    assert arguments[0] == "cmcrameri>=1.8" and arguments[1] == "-c" and len(slicer.asked) == 1


def test_a_no_is_a_no(within):
    slicer = Slicer(answer=False)
    installing = within(slicer)
    with pytest.raises(installing.CannotInstall, match="not installed"):
        installing.mend(NO_COLOURS)
    assert not slicer.installed


def test_a_failure_of_the_installer_is_one_sentence(within):
    packaging = types.ModuleType("slicer.packaging")

    def pip_ensure(*_, **__):
        raise RuntimeError("User declined package installation")

    packaging.pip_ensure = pip_ensure
    installing = within(Slicer(), packaging)
    with pytest.raises(installing.CannotInstall, match="cmcrameri"):
        installing.mend(NO_COLOURS)


@pytest.mark.parametrize("kind", ["present", "older", "keywords"])
def test_torch_comes_by_its_own_installer_whose_arguments_have_drifted(within, kind):
    seen = {}
    versions = {
        "present": lambda askConfirmation=False, forceComputationBackend=None, torchVersionRequirement=None,
        torchvisionVersionRequirement=None: seen.update(locals()) or object(),
        "older": lambda forceComputationBackend=None: seen.update(locals()) or object(),
        "keywords": lambda **options: seen.update(options) or object(),
    }  # fmt: skip
    slicer = Slicer()
    assert within(slicer, None, torch_utilities(versions[kind])).mend(NO_TORCH) == "looked again"
    assert seen.get("torchvisionVersionRequirement") is None
    if kind == "older":
        assert len(slicer.asked) == 1, "an installer that does not ask is asked for"
    else:
        assert seen["askConfirmation"] and seen["torchVersionRequirement"] == ">=2.3" and not slicer.asked


@pytest.mark.parametrize("install", [lambda askConfirmation: None, lambda askConfirmation: 1 / 0])
def test_torch_that_was_not_installed_is_told(within, install):
    installing = within(Slicer(), None, torch_utilities(install))
    with pytest.raises(installing.CannotInstall, match="PyTorch"):
        installing.mend(NO_TORCH)


def test_without_the_pytorch_extension_that_comes_first(within):
    slicer = Slicer()
    installing = within(slicer)
    with pytest.raises(installing.CannotInstall, match="restart Slicer"):
        installing.mend(NO_TORCH)
    assert slicer.installed == [("PyTorch", False)]


def test_broken_torch_leads_to_where_it_is_removed(within):
    slicer = Slicer()
    slicer.modules.pytorchutils = object()
    installing = within(slicer)
    with pytest.raises(installing.CannotInstall, match="uninstall"):
        installing.mend(BROKEN)
    assert slicer.selected == ["PyTorchUtils"] and not slicer.installed


def test_every_action_has_a_label(within):
    installing = within(Slicer())
    for report in (NO_TORCH, NO_COLOURS, BROKEN, Report((Package("numpy", "2.0", "1.26"),), Torch("2.9"))):
        assert installing.label(report)
    assert installing.label(Report((*OWN, TORCH), Torch("2.9.0"))) == ""
