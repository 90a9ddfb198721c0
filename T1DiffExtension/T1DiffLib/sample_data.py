"""A digital patient in Slicer's Sample Data: rendered on this machine, so nothing is downloaded."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from . import paths

CATEGORY = "T1Diff"
NAME = "Digital patient"
FOLDER = "DigitalPatient"
PHANTOM = ("--split", "test", "--first", "0", "-n", "1", "--infarcted", "--vendor", "siemens")
"""An infarcted patient of the test range: no model has seen it."""

FINISHED = "patient.complete"
MINUTES = 15


def register_sample_data() -> None:
    """Add the digital patient to the Sample Data module; called when Slicer has started."""
    import SampleData
    from slicer.i18n import tr as _

    logic = SampleData.SampleDataLogic
    if hasattr(logic, "registerCustomSampleDataCategory"):  # newer than Slicer 5.10
        logic.registerCustomSampleDataCategory(CATEGORY, _("T1Diff"))
    logic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=NAME,
        thumbnailFileName=paths.resource(f"Icons/{FOLDER}.png"),
        uris="",  # nothing to download, but Slicer wants one entry per file
        customDownloader=_on_click,
    )


def digital_patient_folder(cache) -> Path:
    """The folder with the digital patient's DICOM below `cache`; rendered on the first call.

    Rendering takes half a minute, in a process of its own because it needs torch. Raises
    RuntimeError with one sentence when that fails.
    """
    from T1DiffLogic import __version__

    home = Path(cache) / f"T1Diff-{__version__}"
    if not (home / FINISHED).is_file():
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home) as stage:
            patient = _render(Path(stage))
            shutil.rmtree(home / FOLDER, ignore_errors=True)  # of a run that was broken off
            os.replace(patient, home / FOLDER)
        (home / FINISHED).touch()
    return home / FOLDER / "dicom"


def load_digital_patient(cache=None, scene=None) -> dict:
    """Load the digital patient into the module's logic and the scene; returns the nodes by name.

    The native T1 map of the same patient comes with it, as the scalar volume `native`.
    """
    import slicer

    from .t1_nodes import add_t1_map

    folder = digital_patient_folder(cache or slicer.app.cachePath)
    logic = slicer.util.getModuleLogic("T1Diff")
    logic.loadCine(folder)
    nodes = logic.addCineToScene(scene)
    native = logic.loadNative(folder)
    return nodes | {"native": add_t1_map(native, scene or slicer.mrmlScene, "Native T1")}


def _on_click(_source):
    import slicer
    from slicer.i18n import tr as _

    from . import dependencies

    with slicer.util.tryWithErrorDisplay(_("The digital patient could not be made."), waitCursor=True):
        torch = next(p for p in dependencies.installed_packages() if p.name == dependencies.TORCH)
        if not torch.satisfied:
            raise RuntimeError(_("PyTorch is not installed; open the module T1Diff and install it there."))
        slicer.util.showStatusMessage(_("Rendering the digital patient …"), 10000)
        return load_digital_patient()


def _render(folder: Path) -> Path:
    command = [paths.python_executable(), "-m", "T1DiffLogic", "phantom", "-o", str(folder), *PHANTOM]
    try:
        done = subprocess.run(
            [*command, "--progress", "none"], env=paths.child_environment(), capture_output=True, text=True,
            timeout=60 * MINUTES, stdin=subprocess.DEVNULL, errors="replace",
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"rendering the digital patient did not end within {MINUTES} minutes.") from None
    made = sorted(folder.glob("patient_*"))
    if done.returncode or not made:
        last = next((s for s in reversed(done.stderr.splitlines()) if s.strip()), "no message")
        raise RuntimeError(f"the digital patient could not be rendered: {last.removeprefix('t1diff: ')}")
    return made[0]
