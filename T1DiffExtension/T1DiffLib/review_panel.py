"""Step 3: contours in a Segment Editor, RV insertion points to drag, AHA segments drawn over."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _

from T1DiffLogic.errors import StudyError

from . import host
from .session import REVIEW
from .step_panel import StepPanel

_MARKS = REVIEW + "marks"


class ReviewPanel(StepPanel):
    """Corrects what was found."""

    section_name = "reviewSection"

    def __init__(self, panel):
        super().__init__(panel)
        self._editor = None
        self._watched = []
        self._drawn_from = ""
        ui = self.ui
        ui.reviewEdButton.connect("clicked()", self._on_which)
        ui.reviewEsButton.connect("clicked()", self._on_which)
        ui.showPointsCheck.connect("toggled(bool)", self._on_show)
        ui.showAhaCheck.connect("toggled(bool)", self._on_show)
        ui.restoreButton.connect("clicked()", self._on_restore)
        for section in (ui.reviewSection, ui.resultsSection):
            section.connect("contentsCollapsed(bool)", self._on_folded)

    @property
    def which(self) -> str:
        """'ed' or 'es', whichever is edited."""
        return "es" if self.ui.reviewEsButton.checked else "ed"

    def open(self):
        if self.session.has_contours:
            self.show()

    def close(self):
        self._unwatch()
        if self._editor is not None:
            self._editor.edit(None, None)
            self._editor.leave()

    def enter(self):
        if self._editor is not None and self.session.has_contours:
            self._editor.enter()

    def exit(self):
        if self._editor is not None:
            self._editor.leave()

    def refresh(self, step, facts):
        self.enable(
            step.usable, "reviewEdButton", "reviewEsButton", "showPointsCheck", "showAhaCheck", "editorFrame"
        )
        self.enable(step.usable and self.session.found is not None, "restoreButton")
        if not facts.contours:
            self.ui.functionLabel.text = step.reason
            return
        try:
            self.ui.functionLabel.text = self._function()
            self._draw_segments(facts.stands)
        except StudyError as error:
            self.ui.functionLabel.text = str(error)

    def show(self) -> None:
        """Takes up new contour nodes: editor, points, and the watch for corrections."""
        self._unwatch()
        if not self.session.has_contours:
            return
        if self._editor is None:
            self._editor = host.SegmentEditor(self.ui.editorFrame.layout())
        self._editor.edit(self.session.segmentation(self.which), self.session.frame)
        self._editor.enter()
        for which in ("ed", "es"):
            _as_outlines(self.session.segmentation(which))
        watch = [
            (self.session.segmentation(w).GetSegmentation(), event)
            for w in ("ed", "es")
            for event in (
                slicer.vtkSegmentation.SourceRepresentationModified,
                slicer.vtkSegmentation.SegmentAdded,
                slicer.vtkSegmentation.SegmentRemoved,
                slicer.vtkSegmentation.SegmentModified,
            )
        ]
        markups = slicer.vtkMRMLMarkupsNode
        watch += [
            (node, event)
            for node in self.session.points()
            for event in (markups.PointModifiedEvent, markups.PointAddedEvent, markups.PointRemovedEvent)
        ]
        for observed, event in watch:
            self.panel.addObserver(observed, event, self._on_corrected)
        self._watched = watch
        self.follow(self.panel.phases.phase)

    def follow(self, phase: int) -> None:
        """Contours belong to one phase each: they are drawn when the cine shows that phase only."""
        if not self.session.has_contours:
            return
        parameters = self.session.parameters
        # over a map the contours would hide what they enclose
        reading = self.ui.reviewSection.collapsed and not self.ui.resultsSection.collapsed
        for which in ("ed", "es"):
            own = not reading and phase == getattr(parameters, which)
            # where both are asked for the same phase, the one under review is seen
            own = own and (which == self.which or parameters.ed != parameters.es)
            _set_visible(self.session.segmentation(which), own)
        points = self.ui.showPointsCheck.checked and phase == parameters.ed and not reading
        for node in self.session.points():
            _set_visible(node, points)
        self._show_segments(self.ui.showAhaCheck.checked and phase == parameters.ed and not reading)

    def _on_which(self):
        self._editor.edit(self.session.segmentation(self.which), self.session.frame)
        self.panel.phases.go_to(getattr(self.session.parameters, self.which))

    def _on_show(self, _on):
        if self.session is None or not self.session.has_contours:
            return
        self.panel.phases.go_to(self.session.parameters.ed)
        self.ui.reviewEdButton.checked = True
        self._on_which()
        self.panel.refresh()
        self.follow(self.panel.phases.phase)

    def _on_folded(self, _folded):
        if self.session is not None:
            self.follow(self.panel.phases.phase)

    def _on_restore(self):
        def act():
            self.session.restore()
            self.show()
            self.panel.phases.show_curve()

        self.panel.attempt(act)

    def _on_corrected(self, *_):
        self.panel.soon()

    def _unwatch(self):
        for observed, event in self._watched:
            self.panel.removeObserver(observed, event, self._on_corrected)
        self._watched = []

    # -- what follows from the contours ----------------------------------------------------------
    def _function(self) -> str:
        from T1DiffLogic.anatomy.function import ventricular_function

        found = ventricular_function(
            *(self.session.reviewed(w) for w in ("ed", "es")), self.session.cine.geometries
        )
        ef = "–" if found["ef_percent"] is None else f"{found['ef_percent']:.0f} %"
        text = _("EF {ef}   EDV {edv:.0f} mL   ESV {esv:.0f} mL   LV mass {mass:.0f} g").format(
            ef=ef, edv=found["edv_ml"], esv=found["esv_ml"], mass=found["mass_g"]
        )
        changed = ", ".join(which.upper() for which in self.corrected())
        return text + ("\n" + _("Corrected: {what}").format(what=changed) if changed else "")

    def corrected(self) -> list[str]:
        """'ed' and 'es', where the contours differ from those that were found."""
        return [which for which in ("ed", "es") if self._corrected(which)]

    def _corrected(self, which) -> bool:
        found, phase = self.session.found, getattr(self.session.parameters, which, -1)
        if found is None or phase < 0:
            return False
        try:
            return bool((self.session.reviewed(which) != found["labels"][:, phase]).any())
        except StudyError:
            return True

    def _draw_segments(self, stands):
        from T1DiffLogic.scene.display import add_aha_preview

        session = self.session
        there = session.nodes.get(_MARKS)
        if not self.ui.showAhaCheck.checked or (there is not None and stands == self._drawn_from):
            return
        nodes = add_aha_preview(
            session.cine, session.reviewed("ed"), session.insertions(), session.scene, there
        )
        session.nodes.set_many(nodes, REVIEW)
        self._drawn_from = stands
        self.follow(self.panel.phases.phase)

    def _show_segments(self, on):
        marks = self.session.nodes.get(_MARKS)
        result = self.session.nodes.get("result.marks")
        for view, composite in host.display.slice_views(self.session.scene):
            if on and marks is not None:
                composite.SetLabelVolumeID(marks.GetID())
                view.SetUseLabelOutline(True)
            elif marks is not None and composite.GetLabelVolumeID() == marks.GetID():
                shown = result is not None and self.session.parameters.hatching
                composite.SetLabelVolumeID(result.GetID() if shown else None)


def _as_outlines(segmentation) -> None:
    """Contours as lines: a filled wall would hide the border that is to be judged."""
    display = segmentation.GetDisplayNode()
    display.SetVisibility2DFill(False)
    display.SetVisibility2DOutline(True)
    display.SetSliceIntersectionThickness(2)


def _set_visible(node, visible) -> None:
    display = node.GetDisplayNode() if node is not None else None
    if display is not None and bool(display.GetVisibility()) != bool(visible):
        display.SetVisibility(bool(visible))
