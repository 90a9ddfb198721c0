"""The study in hand: its records and the nodes that show them.

MRML and arrays, no widgets. The scene is the truth: contours and points are read from the nodes that
the clinician edits, every time they are needed.
"""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import slicer

from T1DiffLogic.errors import StudyError

from . import workflow
from .kept_files import keep, kept
from .parameters import NodeBook, T1DiffParameterNode, model_settings, scripted_node

STUDY, REVIEW, RESULT = "study.", "review.", "result."
"""Prefixes of node roles: each step may take its own nodes away, and only those."""


class Session:
    """One study. Made anew for each scene."""

    def __init__(self, scene=None):
        self.scene = scene or slicer.mrmlScene
        node = scripted_node(self.scene)
        self.parameters = T1DiffParameterNode(node)
        self.nodes = NodeBook(node)
        self.cine = None
        self.labels = None
        self.found = None
        self.synthesis = None
        self.result = None

    # -- cine ------------------------------------------------------------------------------------
    def take_cine(self, cine, nodes: dict | None = None) -> None:
        """Make `cine` the study; what was made of an earlier one leaves the scene.

        nodes  cine, cine_browser and cine_frame that show it already; None adds them
        """
        from T1DiffLogic.scene import add_cine

        self.forget(REVIEW)
        self.forget(RESULT)
        earlier = self.nodes.get(STUDY + "cine_browser")
        if nodes is None or nodes["cine_browser"] is not earlier:
            # nodes of the user's own stay in the scene; those that were added for a study go with it
            for role in self.nodes.roles(STUDY):
                for node in self.nodes.all(role):
                    if node.GetAttribute("T1Diff.AddedFor") == "study":
                        self.scene.RemoveNode(node)
                self.nodes.set(role, None)
        if nodes is None:
            nodes = add_cine(cine, self.scene)
            for role in ("cine", "cine_browser", "cine_frame"):
                for node in nodes[role] if isinstance(nodes[role], list) else [nodes[role]]:
                    node.SetAttribute("T1Diff.AddedFor", "study")
        self.nodes.set_many({role: nodes[role] for role in ("cine", "cine_browser", "cine_frame")}, STUDY)
        self.cine = cine
        parameters = self.parameters
        parameters.ed = parameters.es = -1
        parameters.edGiven = parameters.esGiven = False
        parameters.studyFolder = ""

    def take_native(self, volumes: list) -> None:
        """Take the volumes of one native T1 map to compare with; the first stands for all of them."""
        self.nodes.set("native", volumes)
        self.parameters.nativeT1 = volumes[0]

    def native(self) -> list:
        """The volumes of the native map that is chosen, [] without one."""
        chosen = self.parameters.nativeT1
        together = self.nodes.all("native")
        if chosen is None:
            return []
        return together if chosen in together else [chosen]

    def candidates(self) -> list:
        """Cines that the scene may hold (scene.cine_nodes.CineCandidate), the likeliest first."""
        from T1DiffLogic.scene.cine_nodes import find_cines

        return find_cines(self.scene)

    def take_candidate(self, candidate) -> None:
        """Make a cine of the scene the study. StudyError when it is none."""
        from T1DiffLogic.scene.cine_nodes import read_cine

        self.take_cine(read_cine(candidate), _own_nodes(candidate.nodes, self.scene))

    def is_current(self, candidate) -> bool:
        """Is this candidate the study, or what the study was copied from?"""
        own = {node.GetID() for node in self.nodes.all(STUDY + "cine")}
        return bool(own & {node.GetID() for node in candidate.nodes})

    @property
    def browser(self):
        return self.nodes.get(STUDY + "cine_browser")

    @property
    def frame(self):
        """The volume that follows the browser."""
        return self.nodes.get(STUDY + "cine_frame")

    # -- contours, phases ------------------------------------------------------------------------
    def take_contours(self, labels, slices, ed: int, es: int) -> None:
        """Take contours that were found: (S, P, R, C) labels, slices as function.json lists them, phases."""
        self.labels = labels
        self.found = {"labels": labels.copy(), "slices": slices}
        self.parameters.ed, self.parameters.es = ed, es
        self._show_review(None)

    def set_phase(self, which: str, phase: int) -> None:
        """Take `phase` as 'ed' or 'es'. Corrections at the phase that is left are kept for a return."""
        if self.has_contours:
            self._keep_corrections()
        setattr(self.parameters, which, phase)
        setattr(self.parameters, f"{which}Given", True)
        if self.labels is not None and self.parameters.ed >= 0 and self.parameters.es >= 0:
            self._show_review(self.insertions() if which == "es" and self.has_contours else None)

    def restore(self) -> None:
        """Take the network's contours and insertion points at ED and ES again."""
        if self.found is None:
            raise StudyError("the network's contours are not in this scene; find them again in step 2.")
        for phase in (self.parameters.ed, self.parameters.es):
            self.labels[:, phase] = self.found["labels"][:, phase]
        self._show_review(None)

    @property
    def has_contours(self) -> bool:
        return self.cine is not None and self.nodes.get(REVIEW + "segmentation_ed") is not None

    def segmentation(self, which: str):
        return self.nodes.get(f"{REVIEW}segmentation_{which}")

    def points(self) -> list:
        """The two point lists, anterior first."""
        return [self.nodes.get(f"{REVIEW}rv_insertion_{name}") for name in ("anterior", "inferior")]

    def reviewed(self, which: str) -> np.ndarray:
        """(S, R, C) labels at 'ed' or 'es' as they stand in the scene. StudyError when they overlap."""
        from T1DiffLogic.scene.review import reviewed_labels

        return reviewed_labels(self.segmentation(which), self.cine)

    def insertions(self) -> np.ndarray:
        """(S, 2, 2) (row, column) as they stand in the scene, NaN where there is none."""
        from T1DiffLogic.scene.review import reviewed_insertions

        return reviewed_insertions(self.points(), self.cine)

    def _keep_corrections(self):
        if self.labels is None:
            return
        for which in ("ed", "es"):
            phase = getattr(self.parameters, which)
            if phase >= 0:
                self.labels[:, phase] = self.reviewed(which)

    def _show_review(self, points):
        """Contours of ED and ES into the scene; `points` None finds the insertion points in them."""
        from T1DiffLogic.anatomy.insertions import rv_insertions
        from T1DiffLogic.scene.review import add_review

        self.forget(REVIEW)
        ed, es = (self.labels[:, getattr(self.parameters, w)] for w in ("ed", "es"))
        if points is None:
            points = rv_insertions(ed, self.cine.geometries)
        self.nodes.set_many(add_review(self.cine, ed, es, points, self.scene), REVIEW)
        self.nodes.set(REVIEW + "kept", keep(self.scene, "T1Diff contours of all phases", self._contours()))

    def _contours(self) -> dict[str, bytes]:
        """Contours of all phases, as they were found and as they stand, for the saved scene."""
        arrays = io.BytesIO()
        np.savez(arrays, found=self.found["labels"], labels=self.labels)
        slices = json.dumps(self.found["slices"], ensure_ascii=False)
        return {"contours.npz": arrays.getvalue(), "slices.json": slices.encode("utf-8")}

    def _reopen_contours(self) -> None:
        node = self.nodes.get(REVIEW + "kept")
        if node is None:
            return
        files = kept(node)
        try:
            arrays = np.load(io.BytesIO(files["contours.npz"]), allow_pickle=False)
            found, labels = arrays["found"], arrays["labels"]
            if not found.shape == labels.shape == self.cine.images.shape:
                raise ValueError("of another cine")
            self.found = {"labels": found, "slices": json.loads(files["slices.json"])}
            self.labels = labels
        except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise StudyError(
                "the contours of all phases in this scene are damaged; find them again in step 2."
            ) from error

    def area_curve(self):
        """study.CardiacPhases with the LV area curve, from the contours of all phases; None without them."""
        from T1DiffLogic.anatomy.phases import cavity_area, find_phases
        from T1DiffLogic.study import LV_CAVITY

        parameters = self.parameters
        if self.labels is None or min(parameters.ed, parameters.es) < 0 or parameters.ed == parameters.es:
            return None
        spacing = np.array([g.spacing for g in self.cine.geometries])
        area = cavity_area(self.labels == LV_CAVITY, spacing)
        return find_phases(area, spacing, self.cine.trigger_ms, ed=parameters.ed, es=parameters.es)

    def facts(self, running: str = "", unusable: str = "") -> workflow.Facts:
        """Where the study stands.

        running   what runs in the background;  unusable  why the engine cannot compute, or ""
        """
        from T1DiffLogic.study import LV_CAVITY

        parameters, stands, cavity, unreadable = self.parameters, "", False, ""
        if self.has_contours:
            try:
                labels = [self.reviewed(which) for which in ("ed", "es")]
                cavity = all((one == LV_CAVITY).any() for one in labels)
                stands = self._fingerprint(*labels)
            except StudyError as error:
                unreadable = str(error)
        return workflow.Facts(
            cine=self.cine is not None,
            ed=parameters.ed,
            es=parameters.es,
            contours=self.has_contours,
            cavity=cavity,
            unreadable=unreadable,
            unusable=unusable,
            running=running,
            result=self.nodes.get(RESULT + "t1") is not None,
            made_from=parameters.madeFrom,
            stands=stands,
        )

    def _fingerprint(self, labels_ed, labels_es) -> str:
        # by name, not by ID: IDs may change when a scene is saved and opened again
        settings = model_settings(self.parameters) | {"native": [node.GetName() for node in self.native()]}
        parameters = self.parameters
        return workflow.fingerprint(
            parameters.ed, parameters.es, labels_ed, labels_es, self.insertions(), settings
        )

    # -- files, scene ----------------------------------------------------------------------------
    def folder(self) -> Path:
        """Where files of this study lie, made when absent."""
        known = self.parameters.studyFolder
        if not known or not Path(known).is_dir():
            known = tempfile.mkdtemp(prefix="T1Diff-", dir=slicer.app.temporaryPath)
            self.parameters.studyFolder = known
        return Path(known)

    def forget(self, prefix: str) -> None:
        """Take the nodes of a step out of the scene, and what is known of them."""
        self.nodes.remove(prefix)
        if prefix == RESULT:
            self.synthesis = self.result = None
            self.parameters.madeFrom = ""

    def reopen(self) -> None:
        """Take up the study that the scene holds, as after loading it. StudyError when it is damaged."""
        from T1DiffLogic.scene.cine_nodes import read_cine

        browser = self.browser
        if browser is None or not self.nodes.all(STUDY + "cine"):
            return
        self.parameters.studyFolder = ""  # a folder of the application that saved the scene
        self.cine = read_cine(self.nodes.all(STUDY + "cine"))
        self._reopen_contours()


def _own_nodes(sequences, scene) -> dict | None:
    """Browser and shown frame of sequences that T1Diff made; None for those of another importer."""
    from T1DiffLogic.scene.frames import RESAMPLED_ATTRIBUTE, own_record

    if any(own_record(node) is None for node in sequences):
        return None
    for browser in slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode", scene):
        if all(browser.IsSynchronizedSequenceNode(node, True) for node in sequences):
            import vtk

            played = vtk.vtkCollection()
            browser.GetSynchronizedSequenceNodes(played, True)
            played = [played.GetItemAsObject(i) for i in range(played.GetNumberOfItems())]
            shown = [n for n in played if n.GetAttribute(RESAMPLED_ATTRIBUTE)] or [sequences[0]]
            frame = browser.GetProxyNode(shown[0])
            if frame is not None:
                return {"cine": list(sequences), "cine_browser": browser, "cine_frame": frame}
    return None
