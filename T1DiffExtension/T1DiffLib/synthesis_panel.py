"""Step 4: which model, on which device, and the synthesis itself."""

from __future__ import annotations

from slicer.i18n import tr as _

from T1DiffLogic.errors import StudyError

from . import dependencies, handover, host
from .engine_process import EngineProcess, engine_arguments
from .step_panel import StepPanel
from .workflow import RESULTS, SYNTHESIS_STAGES

_DIRECT = ("presetCombo", "samplesSpin", "deviceCombo", "modelEdit", "modelButton", "stepsSpin", "seedSpin")


class SynthesisPanel(StepPanel):
    """Runs the engine, and says what the engine runs on."""

    section_name = "synthesisSection"

    def __init__(self, panel):
        super().__init__(panel)
        self._report = None
        self._probe = EngineProcess(panel.environment, panel.program)
        ui = self.ui
        ui.synthesizeButton.connect("clicked()", self._on_synthesize)
        ui.modelButton.connect("clicked()", self._on_choose_model)
        ui.mendButton.connect("clicked()", self._on_mend)

    @property
    def unusable(self) -> str:
        """Why the engine cannot compute; "" when it can, or while that is being found out."""
        return "" if self._report is None or self._report.ready else self._report.sentence

    @property
    def looked(self) -> bool:
        """It is known what the engine runs on."""
        return self._report is not None

    def enter(self):
        if self._report is None:
            self.look()

    def close(self):
        self._probe.abandon()

    def look(self) -> None:
        """Finds out, in a process of its own, what torch sees on this computer."""
        packages = dependencies.installed_packages()
        there = any(p.name == dependencies.TORCH and p.installed for p in packages)
        if not there:
            self._take(dependencies.Report(packages, dependencies.Torch(problem=_("it is not installed"))))
            return
        if self._probe.running:
            return
        self._probe.start_plain(["-c", dependencies.PROBE], lambda *told: self._on_probed(packages, *told))

    def _on_probed(self, packages, code, out, err):
        self._take(dependencies.Report(packages, dependencies.told(code, out, err)))

    def _take(self, report):
        self._report = report
        self.panel.refresh()

    def refresh(self, step, facts):
        usable = step.usable
        # settings may be chosen before the step is ready; only while something runs they stay put
        self.enable(not facts.running, *_DIRECT)
        self.enable(usable, "synthesizeButton")
        self.ui.synthesizeButton.toolTip = step.reason or _(
            "Draws the maps in the background from the cine and the contours as they stand in step 3."
        )
        report = self._report
        self.ui.engineLabel.text = _("Looking at what torch sees …") if report is None else report.sentence
        broken = report is not None and not report.ready
        self.ui.mendButton.visible = broken
        if broken:
            from . import installing

            self.ui.mendButton.text = installing.label(report)
            self.ui.mendButton.enabled = not facts.running

    def _on_mend(self):
        from . import installing

        self.panel.say("")
        try:
            self._take(installing.mend(self._report))
        except installing.CannotInstall as error:
            self.panel.say(str(error))
            self.look()

    def _on_choose_model(self):
        folder = host.choose_folder(self.panel.root, _("Model folder"))
        if folder:
            self.session.parameters.modelFolder = folder

    def _on_synthesize(self):
        if self.panel.running:
            return
        arguments = []

        def prepare():
            self._made_from = self.session.facts().stands
            if not self._made_from:
                raise StudyError(_("The contours cannot be read as they stand."))
            arguments.extend(handover.synthesis_arguments(self.session, self.panel.output_folder("result")))

        if self.panel.attempt(prepare):
            self.panel.run(
                _("Synthesising the T1 map"),
                engine_arguments("synthesize", *arguments),
                SYNTHESIS_STAGES,
                self._on_synthesized,
            )

    def _on_synthesized(self):
        handover.take_synthesis(self.session, handover.result_folder(self.session), self._made_from)
        self.panel.results.show()
        self.panel.refresh()
        self.panel.open_step(RESULTS)
