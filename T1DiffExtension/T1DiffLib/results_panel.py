"""Step 5: the map over the cine, segments, scar extent, agreement with a native map, export."""

from __future__ import annotations

import qt
from slicer.i18n import tr as _

from T1DiffLogic.errors import StudyError

from . import handover, host, results
from .parameters import ScarRule
from .session import RESULT
from .step_panel import StepPanel


class ResultsPanel(StepPanel):
    """Shows what was made."""

    section_name = "resultsSection"

    def __init__(self, panel):
        super().__init__(panel)
        self._shown = None
        ui = self.ui
        ui.compareButton.connect("toggled(bool)", self._on_compare)
        ui.reportButton.connect("clicked()", self._on_report)
        ui.exportButton.connect("clicked()", self._on_export)
        ui.staleLabel.styleSheet = "background: #fff3cd; color: #5c4400; padding: 6px;"
        ui.staleLabel.visible = False

    def open(self):
        self._shown = None
        if self.session.nodes.get(RESULT + "t1") is not None:
            try:
                handover.reopen_synthesis(self.session)
            except StudyError as error:
                self.panel.say(str(error))
            self.show()

    def close(self):
        self.ui.bullseyeLabel.clear()

    def refresh(self, step, facts):
        session, there = self.session, self.session.synthesis is not None
        self.enable(step.usable, "opacitySlider", "hatchCheck")
        # side by side each view has its own map
        self.enable(step.usable and not self.ui.compareButton.checked, "showCombo")
        self.enable(step.usable and there, "scarRuleCombo", "reportButton", "exportButton")
        given = session.parameters.scarRule == ScarRule.GIVEN
        self.enable(step.usable and there and given, "thresholdSpin")
        native = session.nodes.get(RESULT + "difference") is not None
        self.enable(step.usable and native, "compareButton")
        self.ui.compareButton.toolTip = (
            self.ui.compareButton.toolTip
            if native
            else _("Choose a native T1 map in step 1 and synthesise again to compare.")
        )
        self.ui.staleLabel.visible = step.stale
        self.ui.staleLabel.text = _(
            "This map was made from other contours, phases or settings. Synthesise it again in step 4."
        )
        if not step.usable:
            self.ui.scarLabel.text = step.reason
            for name in ("slicesLabel", "agreementLabel"):
                getattr(self.ui, name).text = ""
            self.ui.bullseyeLabel.clear()
            return
        if not there:
            self.ui.scarLabel.text = _(
                "The single samples of this map are not in the scene: the table stands as it was saved. "
                "Synthesise again to choose another scar rule."
            )
            return
        self.ui.slicesLabel.text = results.slices_text(session.synthesis)
        self.ui.agreementLabel.text = results.agreement_text(session.result["agreement"])
        self._show_scar()

    def show(self) -> None:
        """Lays the map over the cine, at ED, and arranges the views."""
        comparing = (
            self.session.parameters.comparing and self.session.nodes.get(RESULT + "difference") is not None
        )
        self.ui.compareButton.blockSignals(True)
        self.ui.compareButton.checked = comparing
        self.ui.compareButton.blockSignals(False)
        self._arrange()
        self._show_bullseye()

    def on_parameters(self) -> None:
        """A choice changed: the views follow at once."""
        if self.session.nodes.get(RESULT + "t1") is None:
            return
        wanted = self._wanted()
        if wanted != self._shown:
            self._shown = wanted
            results.show_overlay(self.session, self.ui.compareButton.checked)

    def _wanted(self):
        parameters = self.session.parameters
        return (parameters.overlay, parameters.opacity, parameters.hatching, self.ui.compareButton.checked)

    def _arrange(self):
        session, comparing = self.session, bool(self.ui.compareButton.checked)
        session.parameters.comparing = comparing
        host.show_layout(host.COMPARE_LAYOUT if comparing else host.RESULT_LAYOUT)
        self._shown = self._wanted()
        self.panel.phases.go_to(session.parameters.ed)
        results.show_overlay(session, comparing)
        results.frame_heart(session)
        host.later(self._frame_again)
        host.show_table(session.scene, session.nodes.get(RESULT + "table"))
        host.show_chart(session.scene, host.SCATTER_VIEW, session.nodes.get(RESULT + "scatter_chart"))
        host.show_chart(session.scene, host.AGREEMENT_VIEW, session.nodes.get(RESULT + "bland_altman_chart"))

    def _frame_again(self):
        # the views of another layout have their size only now
        if self.session is not None and self.session.has_contours:
            results.frame_heart(self.session)

    def _on_compare(self, _on):
        if self.session is not None:
            self._arrange()
            self.panel.refresh()

    def _show_scar(self):
        parameters = self.session.parameters
        rule = (
            parameters.scarThresholdMs if parameters.scarRule == ScarRule.GIVEN else parameters.scarRule.value
        )
        rows, text = results.scar(self.session.synthesis, rule)
        self.ui.scarLabel.text = text
        table = self.session.nodes.get(RESULT + "table")
        if rows is not None and table is not None:
            results.fill(table, rows)

    def _show_bullseye(self):
        self.ui.bullseyeLabel.clear()
        if self.session.synthesis is not None:
            picture = self.session.folder() / "bullseye_panel.png"
            results.draw_bullseye(self.session, picture)
            pixmap = qt.QPixmap(str(picture))
            self.ui.bullseyeLabel.setPixmap(pixmap.scaledToHeight(380, qt.Qt.SmoothTransformation))

    def _on_report(self):
        host.open_in_browser(handover.result_folder(self.session) / "report.html")

    def _on_export(self):
        folder = host.choose_folder(self.panel.root, _("Folder to export to"))
        if folder:
            self.panel.attempt(self._export, folder)

    def _export(self, folder):
        target = results.export(self.session, folder)
        saved = host.save_scene(target / "slicer_scene.mrb")
        text = _("Exported to {folder}.").format(folder=target)
        self.panel.notify(text if saved else text + " " + _("The scene could not be saved there."))
