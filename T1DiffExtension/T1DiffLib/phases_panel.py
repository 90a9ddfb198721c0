"""Step 2: end-diastole and end-systole, found from the LV area or set on the frame slider."""

from __future__ import annotations

import vtk
from slicer.i18n import tr as _

from . import handover, host, results
from .engine_process import engine_arguments
from .step_panel import StepPanel
from .workflow import REVIEW, SEGMENT_STAGES


class PhasesPanel(StepPanel):
    """Plays the cine, finds the contours and sets the phases."""

    section_name = "phasesSection"

    def __init__(self, panel):
        super().__init__(panel)
        self._browser = None
        ui = self.ui
        ui.findPhasesButton.connect("clicked()", self._on_find)
        ui.phaseSlider.connect("valueChanged(int)", self._on_slider)
        ui.playButton.connect("toggled(bool)", self._on_play)
        ui.setEdButton.connect("clicked()", self._on_set_ed)
        ui.setEsButton.connect("clicked()", self._on_set_es)

    def open(self):
        self._watch(self.session.browser if self.session.cine is not None else None)
        if self._browser is not None:
            self.show_cine()

    def close(self):
        self.ui.playButton.checked = False
        self._watch(None)

    def exit(self):
        self.ui.playButton.checked = False

    def refresh(self, step, facts):
        self.enable(step.usable and not facts.unusable, "findPhasesButton")
        # looking at the cine is possible while something runs, setting a phase is not
        self.enable(facts.cine, "phaseSlider", "playButton")
        self.enable(step.usable, "setEdButton", "setEsButton")
        self.ui.findPhasesButton.text = (
            _("Find contours again") if facts.contours else _("Find contours, ED and ES")
        )
        parameters = self.session.parameters
        for which, label in (("ed", self.ui.edLabel), ("es", self.ui.esLabel)):
            phase, given = getattr(parameters, which), getattr(parameters, f"{which}Given")
            how = _("set") if given else _("found")
            known = f"{which.upper()} {phase}  ({self._time(phase):.0f} ms, {how})"
            label.text = known if phase >= 0 and facts.cine else f"{which.upper()} –"
        self.ui.phasesInfoLabel.text = self._info(step, facts)
        self._show_phase()

    def show_cine(self):
        """Shows the study's cine in the views, in its own plane."""
        self._watch(self.session.browser)
        host.show_layout(host.IMAGE_LAYOUT)  # show_curve makes room for the curve, once there is one
        frame = self.session.frame
        if frame is None:
            return
        for _view, composite in host.display.slice_views(self.session.scene):
            host.display.show_volumes(composite, frame)
        self._turn_views()
        host.later(self._turn_views)
        self.show_curve()

    def _turn_views(self):
        if self.session is not None and self.session.frame is not None and not self.session.has_contours:
            for name in ("Red", "Yellow", "Green"):
                host.look_at(self.session.scene, name, self.session.frame)

    def show_curve(self):
        """Draws the LV area curve, once the contours of all phases are known."""
        from T1DiffLogic.scene.plots import add_area_curve

        self.session.nodes.remove("curve.")
        found = self.session.area_curve()
        if found is not None and found.area_mm2.size:
            times = self.session.cine.trigger_ms.mean(axis=0)
            nodes = add_area_curve(times, found.area_mm2, found.ed, found.es, self.session.scene)
            self.session.nodes.set_many(nodes, "curve.")
            host.show_layout(host.CINE_LAYOUT)
        host.show_chart(self.session.scene, host.CURVE_VIEW, self.session.nodes.get("curve.area_chart"))

    def go_to(self, phase: int) -> None:
        """Shows one phase of the cine in the views."""
        if self._browser is not None and phase >= 0:
            self._browser.SetSelectedItemNumber(phase)
            self._show_phase()

    @property
    def phase(self) -> int:
        """The phase that the views show, -1 without a cine."""
        return -1 if self._browser is None else self._browser.GetSelectedItemNumber()

    def _on_find(self):
        if self.panel.running:
            return
        question = _("The contours that you corrected will be replaced. Go on?")
        if self.panel.review.corrected() and not host.confirm(question):
            return
        session, output = self.session, self.panel.output_folder("contours")
        arguments = []

        def prepare():
            arguments.extend(handover.segment_arguments(session, output))

        if self.panel.attempt(prepare):
            self.panel.run(
                _("Finding contours"), engine_arguments("segment", *arguments), SEGMENT_STAGES, self._on_found
            )

    def _on_found(self):
        handover.take_segmentation(self.session, self.session.folder() / "contours")
        self.show_curve()
        self.panel.review.show()
        self.go_to(self.session.parameters.ed)
        results.frame_heart(self.session)
        self.panel.refresh()
        self.panel.open_step(REVIEW)

    def _on_slider(self, value):
        if self._browser is not None and self._browser.GetSelectedItemNumber() != value:
            self._browser.SetSelectedItemNumber(value)

    def _on_play(self, on):
        if self._browser is not None:
            host.play(self._browser, on)

    def _on_set_ed(self):
        self._set("ed")

    def _on_set_es(self):
        self._set("es")

    def _set(self, which):
        def act():
            self.session.set_phase(which, self.phase)
            self.show_curve()
            self.panel.review.show()

        self.panel.attempt(act)

    def _watch(self, browser):
        if self._browser is not None:
            self.panel.removeObserver(self._browser, vtk.vtkCommand.ModifiedEvent, self._on_browser)
        self._browser = browser
        if browser is not None:
            self.panel.addObserver(browser, vtk.vtkCommand.ModifiedEvent, self._on_browser)

    def _on_browser(self, *_):
        if self.session is not None:
            self._show_phase()

    def _show_phase(self):
        count = self.session.cine.n_phases if self.session.cine is not None else 1
        slider, phase = self.ui.phaseSlider, max(self.phase, 0)
        slider.blockSignals(True)
        slider.maximum = count - 1
        slider.value = phase
        slider.blockSignals(False)
        known = self.session.cine is not None
        self.ui.phaseLabel.text = (
            _("phase {n} · {ms:.0f} ms").format(n=phase, ms=self._time(phase)) if known else ""
        )
        self.panel.review.follow(phase)

    def _time(self, phase):
        cine = self.session.cine
        return (
            float(cine.trigger_ms[:, phase].mean())
            if cine is not None and 0 <= phase < cine.n_phases
            else 0.0
        )

    def _info(self, step, facts):
        if not step.usable:
            return step.reason
        if facts.unusable:
            return facts.unusable + " " + _("Step 4 has a button for it.")
        if not facts.contours:
            return _("Contours of all phases are found first. ED and ES follow; you may set them beforehand.")
        return _("Check ED and ES on the curve and in the images. To move one, go to the phase and set it.")
