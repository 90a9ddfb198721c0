"""The module's panel: five steps from top to bottom, one child process at a time."""

from __future__ import annotations

import time
from pathlib import Path

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from T1DiffLogic.errors import StudyError
from T1DiffLogic.study import RESEARCH_NOTICE

from . import paths, workflow
from .cine_panel import CinePanel
from .engine_process import DONE, EngineProcess
from .phases_panel import PhasesPanel
from .results_panel import ResultsPanel
from .review_panel import ReviewPanel
from .session import Session
from .synthesis_panel import SynthesisPanel

_SETTLE_MS = 250
"""The scene changes in bursts (a brush stroke, a loaded series); the panel looks once they are over."""


def build(module_widget) -> T1DiffPanel:
    """Fills the module's widget; returns the object whose enter, exit and cleanup belong to it."""
    return T1DiffPanel(module_widget)


class T1DiffPanel(VTKObservationMixin):
    """What the steps share: the widgets (`ui`), the study (`session`), the child process, messages."""

    def __init__(self, module_widget):
        VTKObservationMixin.__init__(self)
        self.module_widget = module_widget
        self.root = slicer.util.loadUI(module_widget.resourcePath("UI/T1Diff.ui"))
        module_widget.layout.addWidget(self.root)
        self.ui = slicer.util.childWidgetVariables(self.root)
        self.ui.noticeLabel.text = RESEARCH_NOTICE
        self.ui.nativeSelector.setMRMLScene(slicer.mrmlScene)
        self.environment, self.program = paths.child_environment(), paths.python_executable()
        self.engine = EngineProcess(self.environment, self.program)
        self.running = ""
        self.session = None
        self._gui_tag = None
        self.states = {}
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(_SETTLE_MS)
        self._timer.connect("timeout()", self.refresh)
        self.cine, self.phases = CinePanel(self), PhasesPanel(self)
        self.review, self.synthesis, self.results = (
            ReviewPanel(self),
            SynthesisPanel(self),
            ResultsPanel(self),
        )
        self._panels = (self.cine, self.phases, self.review, self.synthesis, self.results)
        self.ui.cancelButton.connect("clicked()", self.engine.cancel)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._on_start_close)
        self.addObserver(scene, scene.EndCloseEvent, self._on_scene_changed)
        self.addObserver(scene, scene.EndImportEvent, self._on_scene_changed)
        self.addObserver(scene, scene.NodeAddedEvent, self._on_nodes_changed)
        self.addObserver(scene, scene.NodeRemovedEvent, self._on_nodes_changed)
        self._show_progress(None)
        self.say("")
        self.open_session()

    # -- life ------------------------------------------------------------------------------------
    def enter(self) -> None:
        """The module is shown."""
        if self.session is None:
            self.open_session()
        for panel in self._panels:
            panel.enter()
        self.refresh()

    def exit(self) -> None:
        """Another module is shown; work in the background goes on."""
        for panel in self._panels:
            panel.exit()

    def cleanup(self) -> None:
        """The module is unloaded or reloaded."""
        self._timer.stop()
        self.engine.abandon()
        self.exit()
        self.close_session()
        self.removeObservers()

    def open_session(self) -> None:
        """Takes up what the scene holds: nothing, or a study that was saved."""
        self.session = Session()
        try:
            self.session.reopen()
        except StudyError as error:
            self.say(str(error))
        self._gui_tag = self.session.parameters.connectGui(self.ui)
        self.addObserver(
            self.session.parameters.parameterNode, vtk.vtkCommand.ModifiedEvent, self._on_parameters
        )
        for panel in self._panels:
            panel.open()
        self.refresh()
        self.open_step(self._first_open_step())

    def close_session(self) -> None:
        """Lets go of the scene's nodes."""
        if self.session is None:
            return
        for panel in self._panels:
            panel.close()
        self.removeObserver(
            self.session.parameters.parameterNode, vtk.vtkCommand.ModifiedEvent, self._on_parameters
        )
        self.session.parameters.disconnectGui(self._gui_tag)
        self.session = None

    def _on_start_close(self, *_):
        self.engine.abandon()
        self._show_progress(None)
        self._timer.stop()
        self.close_session()
        self.say("")

    def _on_scene_changed(self, *_):
        # an import may bring the parameter node of a saved study, whose values replace ours
        self.close_session()
        self.open_session()

    def _on_nodes_changed(self, *_):
        if self.session is not None and not slicer.mrmlScene.IsBatchProcessing():
            self.cine.scene_changed = True
            self.soon()

    def _on_parameters(self, *_):
        if self.session is not None:
            self.results.on_parameters()
            self.soon()

    # -- state -----------------------------------------------------------------------------------
    def soon(self) -> None:
        """Refresh once the scene has settled."""
        self._timer.start()

    def refresh(self) -> None:
        """Brings every control in line with where the study stands."""
        if self.session is None:
            return
        self._timer.stop()
        facts = self.session.facts(self.running, self.synthesis.unusable)
        self.states = workflow.steps_of(facts)
        titles = (_("1  Cine"), _("2  Phases"), _("3  Review"), _("4  Synthesise"), _("5  Results"))
        for panel, title, name in zip(self._panels, titles, workflow.STEPS, strict=True):
            step = self.states[name]
            mark = _(" – out of date") if step.stale else " ✓" if step.done else ""
            panel.section.text = title + mark
            panel.section.toolTip = step.reason or panel.purpose
            panel.refresh(step, facts)

    def open_step(self, name: str) -> None:
        """Unfolds one step and folds the others."""
        for panel, step in zip(self._panels, workflow.STEPS, strict=True):
            panel.section.collapsed = step != name

    def _first_open_step(self) -> str:
        for name, after in zip(workflow.STEPS, (*workflow.STEPS[1:], None), strict=True):
            if after is None or not self.states[after].usable:
                return name
        return workflow.CINE

    def say(self, text: str) -> None:
        """A sentence on what went wrong, until the next action; "" takes it away."""
        self.ui.messageLabel.text = text
        self.ui.messageLabel.visible = bool(text)

    def notify(self, text: str) -> None:
        """A sentence on what was done."""
        self.say(text)

    def attempt(self, action, *arguments):
        """Runs `action`; a StudyError becomes the message. True when it went well."""
        self.say("")
        try:
            action(*arguments)
        except StudyError as error:
            self.say(str(error))
            return False
        finally:
            self.refresh()
        return True

    # -- work in the background --------------------------------------------------------------------
    def run(self, what: str, arguments: list[str], stages: dict, on_done) -> None:
        """Runs Python with `arguments` as a child process; `on_done()` follows when it went well.

        what    a few words for the progress line;  stages  see workflow.SEGMENT_STAGES
        """
        self.say("")
        self.running, self._stages, self._on_done = what, stages, on_done
        self._started = time.monotonic()
        self._show_progress(0.0)
        self.engine.start(arguments, self._on_progress, self._on_end)
        self.refresh()

    def output_folder(self, name: str) -> Path:
        """A folder for what a child process writes."""
        folder = self.session.folder() / name
        folder.mkdir(exist_ok=True)
        return folder

    def _on_progress(self, stage, fraction):
        self._show_progress(workflow.overall(self._stages, stage, fraction))

    def _on_end(self, outcome):
        self.running = ""
        self._show_progress(None)
        if outcome.status == DONE:
            self.attempt(self._on_done)
            return
        self.say(workflow.in_panel_words(outcome.message))
        self.refresh()

    def _show_progress(self, done):
        self.ui.progressFrame.visible = done is not None
        if done is None:
            self.running = ""
            return
        left = workflow.remaining_text(done, time.monotonic() - self._started)
        self.ui.progressBar.value = int(1000 * done)
        self.ui.progressLabel.text = f"{self.running} …  {left}"
