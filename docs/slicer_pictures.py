"""The pictures of README and docs/slicer.md, taken in a real Slicer from a digital patient.

    Slicer --no-splash --additional-module-paths …/T1DiffExtension \
        --python-script …/docs/slicer_pictures.py -- FOLDER

Not a test: nothing is asserted, a person looks at the pictures.
"""

import sys
import time
from pathlib import Path

import slicer

WIDTH, HEIGHT = 1600, 1000


def settle(seconds=1.0):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        slicer.app.processEvents()
        time.sleep(0.01)


def wait(panel):
    while panel.running:
        settle(0.1)
    settle(1.5)


def grab(folder, name):
    settle(1.0)
    slicer.util.forceRenderAllViews()
    settle(0.5)
    slicer.util.mainWindow().grab().save(str(folder / f"{name}.png"))


def take(folder):
    from T1DiffLib.sample_data import digital_patient_folder

    window = slicer.util.mainWindow()
    window.resize(WIDTH, HEIGHT)
    slicer.util.selectModule("T1Diff")
    settle()
    slicer.util.setDataProbeVisible(False)
    panel = slicer.util.getModuleWidget("T1Diff").panel
    ui = panel.ui
    ui.folderEdit.text = str(digital_patient_folder(slicer.app.cachePath))
    ui.folderEdit.returnPressed()
    wait(panel)
    panel.open_step("cine")
    grab(folder, "slicer_1_cine")
    panel.open_step("phases")
    ui.findPhasesButton.click()
    wait(panel)
    panel.open_step("phases")
    grab(folder, "slicer_2_phases")
    panel.open_step("review")
    ui.showAhaCheck.checked = True
    settle()
    grab(folder, "slicer_3_review")
    ui.showAhaCheck.checked = False
    panel.open_step("synthesis")
    grab(folder, "slicer_4_synthesise")
    ui.synthesizeButton.click()
    wait(panel)
    grab(folder, "slicer_5_results")
    ui.compareButton.click()
    wait(panel)
    grab(folder, "slicer_6_compare")


if __name__ == "__main__":
    code = 1
    try:
        target = Path(sys.argv[1])
        target.mkdir(parents=True, exist_ok=True)
        take(target)
        code = 0
    finally:
        slicer.util.exit(code)
