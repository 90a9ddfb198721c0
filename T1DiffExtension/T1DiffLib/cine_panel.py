"""Step 1: the cine, from scene, folder or sample data, and a native map to compare with."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from . import host
from .engine_process import script_arguments
from .session import REVIEW
from .step_panel import StepPanel
from .workflow import PHASES

READ_STAGES = {"read": 1.0}
_SCRIPT = Path(__file__).with_name("read_study.py")


class CinePanel(StepPanel):
    """Chooses the study."""

    section_name = "cineSection"

    def __init__(self, panel):
        super().__init__(panel)
        self._candidates = []
        self.scene_changed = True
        ui = self.ui
        ui.sceneCineCombo.connect("activated(int)", self._on_chosen)
        ui.folderButton.connect("clicked()", self._on_choose_folder)
        ui.folderEdit.connect("returnPressed()", self._on_folder_entered)
        ui.folderEdit.connect("textChanged(QString)", self._on_folder_text)
        ui.sampleButton.connect("clicked()", self._on_sample)
        ui.nativeSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._on_native)

    def open(self):
        self.scene_changed = True
        self.ui.folderEdit.text = ""

    def enter(self):
        self.scene_changed = True

    def refresh(self, step, facts):
        if self.scene_changed:
            self.scene_changed = False
            self._list_candidates()
        self.enable(step.usable, "folderEdit", "folderButton", "sampleButton", "nativeSelector")
        self.enable(step.usable and bool(self._candidates), "sceneCineCombo")
        self.ui.cineInfoLabel.text = self._info()

    # -- from the scene --------------------------------------------------------------------------
    def _list_candidates(self):
        self._candidates = self.session.candidates()
        combo = self.ui.sceneCineCombo
        combo.clear()
        if not self._candidates:
            combo.addItem(_("no cine is loaded yet"))
            return
        combo.addItem(_("choose …"))
        for candidate in self._candidates:
            doubt = "" if candidate.short_axis else _(", short axis?")
            size = f"{candidate.n_slices} × {candidate.n_phases}"
            combo.addItem(f"{candidate.name} ({size}{doubt})")
            combo.setItemData(combo.count - 1, candidate.sentence, qt.Qt.ToolTipRole)
        current = [i for i, c in enumerate(self._candidates, 1) if self.session.is_current(c)]
        combo.setCurrentIndex(current[0] if current else 0)

    def _on_chosen(self, index):
        if not 1 <= index <= len(self._candidates):
            return
        candidate = self._candidates[index - 1]
        if self.session.is_current(candidate):
            return
        if not self._may_replace():
            self.scene_changed = True
            self.panel.refresh()
            return
        if self.panel.attempt(self.session.take_candidate, candidate):
            self.taken()

    def _may_replace(self):
        """Corrected contours are work; they are not thrown away unasked."""
        if not self.session.nodes.roles(REVIEW):
            return True
        return host.confirm(
            _("Another cine takes the place of this one, its contours and its results. Go on?")
        )

    # -- from a folder ---------------------------------------------------------------------------
    def _on_choose_folder(self):
        folder = host.choose_folder(self.panel.root, _("Folder with the cine's DICOM files"))
        if folder:
            self._read(folder)

    def _on_folder_entered(self):
        text = self.ui.folderEdit.text.strip()
        if text:
            self._read(text)

    def _on_folder_text(self, text):
        # a folder dropped on the field arrives as the text of its address
        if text.strip().lower().startswith("file:"):
            path = qt.QUrl(text.strip()).toLocalFile()
            self.ui.folderEdit.text = path
            self._read(path)

    def _on_sample(self):
        self._read("--sample", slicer.app.cachePath)

    def _on_native(self, node):
        if self.session is None or node is None:
            return
        from T1DiffLogic.scene.cine_nodes import t1_map_of

        chosen = [n for n in self.session.nodes.all("native")] if self._one_of_ours(node) else [node]
        self.panel.attempt(t1_map_of, chosen)

    def _one_of_ours(self, node):
        return node.GetID() in [n.GetID() for n in self.session.nodes.all("native")]

    def _read(self, *source):
        if self.panel.running or not self._may_replace():
            return
        self._incoming = Path(tempfile.mkdtemp(prefix="T1Diff-read-", dir=slicer.app.temporaryPath))
        arguments = script_arguments(_SCRIPT, *source, self._incoming)
        self.panel.run(_("Reading images"), arguments, READ_STAGES, self._on_read)

    def _on_read(self):
        from T1DiffLogic.study_files import read_cine, read_t1_map

        from .t1_nodes import add_t1_map

        try:
            self.session.take_cine(read_cine(self._incoming / "study.cine.npz"))
            native = self._incoming / "native.t1map.npz"
            self.session.parameters.nativeT1 = None
            if native.is_file():
                self.session.take_native(add_t1_map(read_t1_map(native), self.session.scene, _("Native T1")))
        finally:
            shutil.rmtree(self._incoming, ignore_errors=True)
        self.taken()

    def taken(self) -> None:
        """Another cine is the study: shows it, and goes on to the phases."""
        self.scene_changed = True
        self.panel.phases.show_cine()
        self.panel.refresh()
        self.panel.open_step(PHASES)

    def _info(self):
        cine = self.session.cine
        if cine is None:
            return _("Load a short-axis cine: drop its folder above, or import it with the DICOM module.")
        geometry = cine.geometries[0]
        lines = [
            _(
                "{slices} slices × {phases} phases, {rows} × {columns} pixels, {height:.2f} × {width:.2f} mm."
            ).format(
                slices=cine.n_slices,
                phases=cine.n_phases,
                rows=geometry.shape[0],
                columns=geometry.shape[1],
                height=geometry.spacing[0],
                width=geometry.spacing[1],
            )
        ]
        if not cine.is_uniform():
            lines.append(
                _("The slices are not evenly spaced; views show them resampled, numbers do not use that.")
            )
        lines += cine.source.notes
        lines += [_("Set aside: {what}").format(what=text) for text in cine.source.ignored]
        return "\n".join(lines)
