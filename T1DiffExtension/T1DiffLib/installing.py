"""The action of dependencies.Report, done inside Slicer: asked for by a click, never on its own."""

from __future__ import annotations

import inspect
import tempfile
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from . import dependencies
from .dependencies import INSTALL_PACKAGES, INSTALL_TORCH, REPAIR_TORCH, UPDATE_SLICER, Report

REQUESTER = "T1Diff"


class CannotInstall(RuntimeError):
    """One sentence on why nothing was installed, and what the user can do."""


def label(report: Report) -> str:
    """What the button that mends the installation says; "" when nothing is to be done."""
    return {
        INSTALL_PACKAGES: _("Install Python packages"),
        INSTALL_TORCH: _("Install PyTorch"),
        REPAIR_TORCH: _("Open PyTorch Utils"),
        UPDATE_SLICER: _("Get a newer Slicer"),
        None: "",
    }[report.action]


def mend(report: Report) -> Report:
    """Do what `report.action` says, then look again.

    Slicer asks the user before it installs. Raises CannotInstall without a main window and under
    --testing, where there is nobody to ask, and when the user declines or the installer fails.
    """
    if report.action is None:
        return report
    _require_somebody(report)
    if report.action == UPDATE_SLICER:
        raise CannotInstall(report.sentence)
    if report.action == REPAIR_TORCH:
        # its files may be in use by this process, so only the user can order it: uninstall, restart
        if not hasattr(slicer.modules, "pytorchutils"):
            _install_torch_extension()
        slicer.util.selectModule("PyTorchUtils")
        raise CannotInstall(report.sentence)
    if report.action == INSTALL_TORCH:
        _install_torch(report)
    else:
        _install_packages(report)
    return dependencies.examine()


def _require_somebody(report: Report) -> None:
    if slicer.app.testingEnabled() or slicer.util.mainWindow() is None:
        raise CannotInstall(f"{report.sentence} Nothing is installed without a window to ask in.")


def _install_torch(report: Report) -> None:
    try:
        import PyTorchUtils
    except ImportError:
        _install_torch_extension()
        return
    minimum = next(p.minimum for p in report.packages if p.name == dependencies.TORCH)
    install = PyTorchUtils.PyTorchUtilsLogic().installTorch
    wanted = {"askConfirmation": True, "torchVersionRequirement": f">={minimum}"}
    # the arguments have drifted between versions of the extension
    known = inspect.signature(install).parameters
    if any(p.kind is p.VAR_KEYWORD for p in known.values()):
        known = wanted
    lacking = [name for name in wanted if name not in known]
    if "askConfirmation" in lacking and not slicer.util.confirmOkCancelDisplay(
        _("PyTorch will be downloaded and installed. This may take several minutes. Continue?")
    ):
        raise CannotInstall(_("PyTorch was not installed."))
    try:
        installed = install(**{name: value for name, value in wanted.items() if name in known})
    except Exception as error:
        raise CannotInstall(
            f"PyTorch could not be installed ({type(error).__name__}); use the module PyTorch Utils for it."
        ) from error
    if installed is None:
        raise CannotInstall(_("PyTorch was not installed."))


def _install_torch_extension() -> None:
    """Fetch the extension that installs torch; T1Diff from the index brings it, a source tree does not."""
    model = slicer.app.extensionsManagerModel()
    if model is None or not model.installExtensionFromServer("PyTorch", False):
        raise CannotInstall(
            _("The extension PyTorch could not be installed; install it in the Extensions Manager.")
        )
    raise CannotInstall(_("The extension PyTorch is installed; restart Slicer, then install PyTorch here."))


def _install_packages(report: Report) -> None:
    wanted = [p.requirement for p in report.to_install]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "constraints.txt"
        file.write_text("\n".join(dependencies.constraints(report.packages)) + "\n", encoding="utf-8")
        try:
            try:
                from slicer.packaging import pip_ensure
            except ImportError:  # Slicer 5.10
                _pip_install(wanted, file)
            else:
                pip_ensure(wanted, constraints=file, requester=REQUESTER)
        except CannotInstall:
            raise
        except Exception as error:
            raise CannotInstall(
                f"The packages were not installed ({type(error).__name__}): {', '.join(wanted)}."
            ) from error


def _pip_install(wanted: list[str], constraints_file: Path) -> None:
    question = _("These Python packages will be installed into Slicer: {names}. Continue?")
    if not slicer.util.confirmOkCancelDisplay(question.format(names=", ".join(wanted))):
        raise CannotInstall(_("The Python packages were not installed."))
    slicer.util.pip_install([*wanted, "-c", str(constraints_file)])
