"""Pictures of every step of the panel on a digital patient: python -m Testing.gui.take_screenshots OUT

Panel and views are drawn by the host of the tests, not by the Slicer application.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path


def main(out: Path, phases: int = 12, samples: int = 4) -> None:
    """Goes through the workflow with real clicks and saves step_1_cine.png … in `out`."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from T1DiffLogic.phantom.draws import patient_seed
    from T1DiffLogic.phantom.patient import digital_patient
    from T1DiffLogic.study_files import write_cine

    from . import application, views

    out.mkdir(parents=True, exist_ok=True)
    application.start()
    with tempfile.TemporaryDirectory() as temporary:
        application.new_scene(Path(temporary))
        import slicer
        from T1DiffLib.t1_nodes import add_t1_map
        from T1DiffLib.widget import build

        patient = digital_patient(patient_seed("test", 0), phases=phases, infarcted=True)
        file = Path(temporary) / "patient.cine.npz"
        write_cine(patient.cine, file)
        module = application.ModuleWidget()
        panel = build(module)
        module.frame.resize(470, 860)
        module.frame.show()
        panel.enter()

        def settle():
            application.wait_for(lambda: not panel.running and panel.synthesis.looked, 3000)
            application.spin(500)

        def shot(name):
            application.spin(300)
            views.screenshot(module.frame, out / f"{name}.png")

        panel.ui.folderEdit.text = str(file)
        panel.ui.folderEdit.returnPressed.emit()
        settle()
        panel.session.take_native(add_t1_map(patient.t1, slicer.mrmlScene, "Native T1"))
        settle()
        panel.ui.folderEdit.text = ""
        panel.open_step("cine")
        shot("step_1_cine")
        panel.open_step("phases")
        application.click(panel.ui.findPhasesButton)
        settle()
        panel.open_step("phases")
        shot("step_2_phases")
        panel.open_step("review")
        application.click(panel.ui.showAhaCheck)
        settle()
        shot("step_3_review")
        panel.open_step("synthesis")
        panel.ui.samplesSpin.value = samples
        application.click(panel.ui.synthesizeButton)
        application.wait_for(lambda: panel.ui.progressBar.value > 300, 3000)
        shot("step_4_synthesise")
        settle()
        shot("step_5_results")
        panel.ui.compareButton.checked = True
        shot("step_5_compare_resizing")
        (out / "step_5_compare_resizing.png").unlink()  # the views have their size from here on
        panel.results._frame_again()
        shot("step_5_compare")
        panel.cleanup()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
