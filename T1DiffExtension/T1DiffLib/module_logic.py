"""The console API, headless: load, set phases, segment, synthesise, statistics, into the scene.

    logic = slicer.util.getModuleLogic("T1Diff")
    logic.loadCine("study/")
    logic.setPhases(0, 9)                    # leave it out and they are found
    anatomy = logic.segment()
    synthesis = logic.synthesize(samples=4, seed=1)
    logic.statistics()["global"]["mean_ms"]
    nodes = logic.addToScene()

Everything runs in this process and blocks until it is done; the panels run the same in a process of
their own. Arrays, units and errors are those of T1DiffLogic: LPS mm, ms, StudyError.
"""

from __future__ import annotations

from dataclasses import replace

NOTHING_LOADED = "no cine is loaded; call loadCine(folder) first."
NOTHING_SYNTHESISED = "there is no synthesis yet; call synthesize() first."


class ModuleLogic:
    """One study and what was made of it. T1Diff.py mixes Slicer's own logic class in."""

    def __init__(self):
        self.clear()

    def clear(self) -> None:
        """Forget the study and everything that was made of it."""
        self.cine = None
        self.native = None
        self.anatomy = None
        self.synthesis = None
        self._reviewed = {}

    def loadCine(self, path):
        """Load the short-axis cine at `path` (T1DiffLogic.load_cine) and return the Cine.

        `path` is a folder with DICOM, a list of DICOM files, a 4D NIfTI, NRRD or `.seq.nrrd`.
        """
        if isinstance(path, list | tuple):
            from T1DiffLogic.dicom.cine import read_cine
            from T1DiffLogic.dicom.offers import selected

            return self.setCine(read_cine(selected(path)))
        from T1DiffLogic import load_cine

        return self.setCine(load_cine(path))

    def setCine(self, cine):
        """Take `cine`, a T1DiffLogic.Cine, as the study; earlier results are forgotten."""
        self.clear()
        self.cine = cine
        return cine

    def loadNative(self, path):
        """Load the patient's native T1 map (T1DiffLogic.load_t1_map) to compare with; None removes it."""
        from T1DiffLogic import load_t1_map

        self.native = None if path is None else load_t1_map(path)
        self.synthesis = None
        return self.native

    def setPhases(self, ed=None, es=None) -> None:
        """Set ED and ES, counted from 0; None leaves the phase to be found from the LV area."""
        self._review(ed=ed, es=es)

    def setLabels(self, ed=None, es=None) -> None:
        """Set reviewed (S, R, C) labels at ED and ES: 1 RV, 2 LV myocardium, 3 LV cavity."""
        self._review(labels_ed=ed, labels_es=es)

    def setInsertions(self, points=None) -> None:
        """Set the reviewed RV insertion points, (S, 2, 2) (row, column) at ED, NaN where there is none."""
        self._review(rv_insertions=points)

    def segment(self, device="auto", progress=None):
        """Find the anatomy: T1DiffLogic.segmentation.StudyAnatomy, kept as `anatomy` too."""
        from T1DiffLogic import segment

        self.anatomy = segment(self._cine(), self._options(device=device), progress)
        return self.anatomy

    def synthesize(self, progress=None, **options):
        """Synthesise the T1 map: T1DiffLogic.Synthesis, kept as `synthesis` too.

        options   preset, model, samples, steps, seed, device, as T1DiffLogic.SynthesisOptions has them
        progress  progress(stage, fraction, message); raise T1DiffLogic.Cancelled from it to stop
        """
        from T1DiffLogic import synthesize

        self.synthesis = synthesize(self._cine(), self._options(**options), self.native, progress)
        return self.synthesis

    def statistics(self, scar="fixed") -> dict:
        """What result.json holds: phases, slices, AHA-16 segments, global T1, agreement, function.

        scar  "fixed" (1250 ms), "remote" (remote mean + 2 SD) or a threshold in ms
        """
        from T1DiffLogic.outputs import study_result
        from T1DiffLogic.statistics import scar_rule, segment_table

        synthesis = self._synthesised()
        result = study_result(synthesis)
        if scar != "fixed":
            rule = scar_rule(synthesis, scar)
            result["segments"] = [row.as_dict() for row in segment_table(synthesis, rule)]
        return result

    def addToScene(self, scene=None, scar="fixed") -> dict:
        """Add the synthesis to `scene` (default: slicer.mrmlScene) and return its nodes by name."""
        from T1DiffLogic.scene import add_to_scene

        return add_to_scene(self._synthesised(), _current(scene), self.statistics(scar))

    def addCineToScene(self, scene=None) -> dict:
        """Add the loaded cine alone to `scene`: a sequence indexed by trigger time, and its browser."""
        from T1DiffLogic.scene import add_cine

        return add_cine(self._cine(), _current(scene))

    def writeOutputs(self, folder) -> dict:
        """Write everything of the synthesis into `folder`, as `t1diff synthesize` does."""
        from T1DiffLogic import write_outputs

        return write_outputs(self._synthesised(), folder)

    def getParameterNode(self):
        """The module's parameter node, wrapped; panels and scene share it."""
        from .parameters import T1DiffParameterNode

        return T1DiffParameterNode(super().getParameterNode())

    def _review(self, **values) -> None:
        """Put what a person decided in place of what is found; what was made without it is forgotten."""
        from T1DiffLogic.segmentation import check_reviewed

        reviewed = {k: v for k, v in {**self._reviewed, **values}.items() if v is not None}
        check_reviewed(self._options(reviewed=reviewed), self._cine())
        self._reviewed = reviewed
        self.anatomy = self.synthesis = None

    def _options(self, reviewed=None, **options):
        from T1DiffLogic import SynthesisOptions

        return replace(SynthesisOptions(**options), **(self._reviewed if reviewed is None else reviewed))

    def _cine(self):
        return self._there(self.cine, NOTHING_LOADED)

    def _synthesised(self):
        return self._there(self.synthesis, NOTHING_SYNTHESISED)

    @staticmethod
    def _there(value, sentence):
        if value is None:
            from T1DiffLogic import StudyError

            raise StudyError(sentence)
        return value


def _current(scene):
    if scene is not None:
        return scene
    import slicer

    return slicer.mrmlScene
