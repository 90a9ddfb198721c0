"""What goes wrong: cancel, crash, missing torch, bad input, a closed scene, a reload."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

from T1DiffLogic.study_files import read_cine, write_cine


@pytest.fixture
def loaded(shown, patient_files):
    shown.panel.session.take_cine(read_cine(patient_files[0]))
    shown.panel.cine.taken()
    return shown


def alive(process: int) -> bool:
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks at processes through /proc")
def test_cancel_ends_the_process_and_its_children(loaded, host, tmp_path):
    told = tmp_path / "child"
    script = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(told)!r} + '.new', 'w').write(str(child.pid))\n"
        f"import os; os.rename({str(told)!r} + '.new', {str(told)!r})\n"
        "time.sleep(60)\n"
    )
    loaded.panel.run("Waiting", ["-c", script], {"read": 1.0}, lambda: None)
    host.wait_for(told.exists, 30)
    child = int(told.read_text())
    assert alive(child) and not loaded.ui.findPhasesButton.enabled
    host.click(loaded.ui.cancelButton)
    loaded.wait()
    host.wait_for(lambda: not alive(child), 10)
    assert "Cancelled" in loaded.ui.messageLabel.text
    assert not loaded.ui.progressFrame.visible and loaded.ui.findPhasesButton.enabled


def test_cancel_of_the_engine_leaves_the_study_as_it_was(loaded, host):
    host.click(loaded.ui.findPhasesButton)
    host.spin(500)
    host.click(loaded.ui.cancelButton)
    loaded.wait()
    session = loaded.panel.session
    assert session.cine is not None and not session.has_contours and session.parameters.ed == -1
    assert loaded.usable() == ["cine", "phases"]


def test_a_crash_is_a_message(loaded, host):
    loaded.panel.run("Crashing", ["-c", "import os; os.abort()"], {"read": 1.0}, lambda: None)
    loaded.wait()
    assert "crashed" in loaded.ui.messageLabel.text and loaded.ui.messageLabel.visible
    assert loaded.usable() == ["cine", "phases"]


def test_the_engines_own_sentence_is_shown(shown, host, tmp_path):
    shown.load(tmp_path / "nowhere")
    assert "does not exist" in shown.ui.messageLabel.text
    assert shown.panel.session.cine is None


def test_a_cine_without_a_heart_is_told(loaded, host, tmp_path):
    cine = read_cine_of(loaded)
    noise = np.random.default_rng(1).normal(100, 5, cine.images.shape)
    write_cine(type(cine)(noise, cine.geometries, cine.trigger_ms), tmp_path / "noise.cine.npz")
    loaded.panel.session.take_cine(read_cine(tmp_path / "noise.cine.npz"))
    loaded.panel.refresh()
    host.click(loaded.ui.findPhasesButton)
    loaded.wait()
    text = loaded.ui.messageLabel.text
    assert "no left ventricle was found" in text and "--ed" not in text


def read_cine_of(shown):
    return shown.panel.session.cine


def test_torch_that_cannot_be_imported_disables_the_step_and_offers_the_remedy(loaded, host, tmp_path):
    broken = tmp_path / "torch"
    broken.mkdir()
    (broken / "__init__.py").write_text("raise ImportError('libtorch_cpu.so: cannot open shared object')\n")
    panel = loaded.panel
    host.wait_for(lambda: panel.synthesis.looked)
    panel.environment["PYTHONPATH"] = str(tmp_path) + os.pathsep + panel.environment["PYTHONPATH"]
    panel.synthesis.look()
    host.wait_for(lambda: panel.synthesis.unusable)
    panel.open_step("synthesis")
    host.spin(300)
    assert "libtorch_cpu" in loaded.ui.engineLabel.text
    assert loaded.ui.mendButton.visible and loaded.ui.mendButton.text
    assert not loaded.ui.synthesizeButton.enabled and not loaded.ui.findPhasesButton.enabled
    assert "libtorch_cpu" in loaded.ui.phasesInfoLabel.text


def test_closing_the_scene_starts_over_and_ends_what_runs(loaded, host):
    import slicer

    host.click(loaded.ui.findPhasesButton)
    host.spin(300)
    slicer.mrmlScene.Clear()
    host.spin(400)
    assert not loaded.panel.engine.running and not loaded.ui.progressFrame.visible
    assert loaded.usable() == ["cine"] and loaded.panel.session.cine is None
    assert loaded.ui.edLabel.text == "ED –"


def test_reload_takes_the_study_up_again(loaded, host):
    loaded.ui.seedSpin.value = 7
    loaded.panel.cleanup()
    for name in [n for n in sys.modules if n.split(".")[0] == "T1DiffLib"]:
        del sys.modules[name]
    from T1DiffLib.widget import build

    panel = build(host.ModuleWidget())
    panel.enter()
    try:
        assert panel.session.cine.n_phases == 8 and panel.ui.seedSpin.value == 7
        assert panel.states["phases"].usable
        assert panel.ui.sceneCineCombo.currentText.startswith("Cine (3 × 8")
    finally:
        panel.cleanup()


def test_phases_set_by_hand_go_to_the_engine(loaded, host, tmp_path):
    from T1DiffLib import handover

    loaded.ui.phaseSlider.value = 7
    host.click(loaded.ui.setEdButton)
    loaded.ui.phaseSlider.value = 2
    host.click(loaded.ui.setEsButton)
    assert "ED 7" in loaded.ui.edLabel.text and "set" in loaded.ui.edLabel.text
    arguments = handover.segment_arguments(loaded.panel.session, tmp_path)
    assert arguments[arguments.index("--ed") + 1] == "7" and arguments[arguments.index("--es") + 1] == "2"


def test_a_cine_of_the_scene_is_offered_and_taken(shown, host, patient_files):
    import slicer

    from T1DiffLogic.scene import add_cine

    cine = read_cine(patient_files[0])
    nodes = add_cine(cine, slicer.mrmlScene)
    host.spin(500)
    combo = shown.ui.sceneCineCombo
    assert combo.enabled and "3 × 8" in combo.itemText(1)
    combo.setCurrentIndex(1)
    combo.activated.emit(1)
    host.spin(400)
    session = shown.panel.session
    np.testing.assert_array_equal(session.cine.images, cine.images)
    assert session.browser.GetID() == nodes["cine_browser"].GetID(), "nothing is copied"


def test_every_control_has_a_tooltip_and_a_name_of_its_own(shown):
    from PySide6 import QtWidgets

    kinds = (
        QtWidgets.QAbstractButton,
        QtWidgets.QAbstractSpinBox,
        QtWidgets.QComboBox,
        QtWidgets.QAbstractSlider,
        QtWidgets.QLineEdit,
    )
    controls = [w for w in vars(shown.ui).values() if isinstance(w._qt, kinds)]
    own = [w for w in controls if not w.name.startswith(("qt_", "ScrollLeft", "ScrollRight"))]
    assert len(own) > 25
    assert [w.name for w in own if not w.toolTip] == []
