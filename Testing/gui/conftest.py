"""The panel on its host, one scene per test. Skipped where PySide6 or slicer-core is missing."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path.insert(0, str(Path(__file__).parents[2]))  # for `from Testing.gui import …`
collect_ignore = []

try:
    import PySide6.QtWidgets  # noqa: F401
    import slicer  # noqa: F401
except ImportError as reason:
    _MISSING = f"the panel's host cannot run: {reason} (pip install 't1diff[gui]')"
else:
    _MISSING = ""


@pytest.fixture(scope="module")
def host():
    """Testing.gui.application, started."""
    if _MISSING:
        pytest.skip(_MISSING)
    from Testing.gui import application

    application.start()
    yield application
    application.stop()
    gc.collect()


@pytest.fixture(scope="session")
def patient_files(tmp_path_factory):
    """(cine.npz, t1map.npz) of a digital patient cut down to three slices and eight phases."""
    from T1DiffLogic.phantom.draws import patient_seed
    from T1DiffLogic.phantom.patient import digital_patient
    from T1DiffLogic.study import LV_CAVITY, Cine
    from T1DiffLogic.study_files import write_cine, write_t1_map

    patient = digital_patient(patient_seed("test", 0), phases=8, infarcted=True)
    cine = patient.cine
    inside = [s for s in range(cine.n_slices) if (patient.labels[s, patient.ed] == LV_CAVITY).any()]
    chosen = inside[2:8:2]
    folder = tmp_path_factory.mktemp("patient")
    small = Cine(
        cine.images[chosen], tuple(cine.geometries[s] for s in chosen), cine.trigger_ms[chosen], cine.source
    )
    write_cine(small, folder / "patient.cine.npz")
    write_t1_map(patient.t1, folder / "patient.t1map.npz")
    return folder / "patient.cine.npz", folder / "patient.t1map.npz"


class Shown:
    """The panel in a window."""

    def __init__(self, host):
        from T1DiffLib.widget import build

        self.host = host
        self.module = host.ModuleWidget()
        self.panel = build(self.module)
        self.module.frame.resize(470, 1400)
        self.module.frame.show()
        self.panel.enter()
        host.raise_errors()

    @property
    def ui(self):
        return self.panel.ui

    def load(self, path):
        """Types a path into the folder field and presses Enter."""
        self.ui.folderEdit.text = str(path)
        self.ui.folderEdit.returnPressed.emit()
        self.wait()

    def wait(self):
        """Until nothing runs and the panel has settled."""
        self.host.wait_for(lambda: not self.panel.running)
        self.host.spin(400)

    def usable(self):
        return [name for name, step in self.panel.states.items() if step.usable]


@pytest.fixture
def shown(host, tmp_path):
    """A panel over an empty scene."""
    host.new_scene(tmp_path)
    shown = Shown(host)
    yield shown
    shown.panel.cleanup()
    shown.module.frame.close()
