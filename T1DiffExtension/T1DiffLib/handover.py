"""What goes to the engine's process and what comes back: files, in the study's own folder.

What the clinician sees is what conditions the model: labels and points are read from the scene when
the work starts, and handed over as files that `t1diff synthesize` reads.
"""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np

from T1DiffLogic.errors import StudyError

from .kept_files import files_of, keep, kept, unpack
from .session import RESULT, Session

CINE_FILE, RECORD_FILE = "study.cine.npz", "synthesis.npz"


def segment_arguments(session: Session, output: Path) -> list[str]:
    """Arguments of `t1diff segment`; phases that the user set go along."""
    parameters = session.parameters
    given = [
        part
        for which in ("ed", "es")
        if getattr(parameters, f"{which}Given")
        for part in (f"--{which}", str(getattr(parameters, which)))
    ]
    device = ["--device", parameters.device.value]
    return [str(_cine_file(session)), "-o", str(output), "--all-phases", *given, *device]


def take_segmentation(session: Session, output: Path) -> None:
    """Takes what `t1diff segment --all-phases` left in `output` into session and scene."""
    from T1DiffLogic.volumes import read_volume

    found = json.loads((output / "function.json").read_text(encoding="utf-8"))
    labels = labels_of_phases(read_volume(output / found["files"]["labels"]), session.cine)
    session.take_contours(labels, found["slices"], int(found["ed"]), int(found["es"]))


def synthesis_arguments(session: Session, output: Path) -> list[str]:
    """Writes what stands in the scene beside the cine; returns the arguments of `t1diff synthesize`."""
    from T1DiffLogic.nrrd_files import write_stack
    from T1DiffLogic.scene.cine_nodes import t1_map_of
    from T1DiffLogic.study_files import write_t1_map

    parameters, folder = session.parameters, session.folder()
    arguments = [str(_cine_file(session)), "-o", str(output), "--record", str(output / RECORD_FILE)]
    for which in ("ed", "es"):
        arguments += [f"--{which}", str(getattr(parameters, which))]
        drawn = folder / f"reviewed_{which}"
        shutil.rmtree(drawn, ignore_errors=True)
        drawn.mkdir()
        written = write_stack(session.reviewed(which), session.cine.geometries, drawn, "labels")
        # of a stack that is not uniform the single slices hold the labels, not the resampled volume
        arguments += [f"--labels-{which}", str(drawn / "slices" if len(written) > 1 else drawn / written[0])]
    points = folder / "rv_insertions.csv"
    if write_points(session.insertions(), points):
        arguments += ["--rv-insertions", str(points)]
    if session.native():
        native = folder / "native.t1map.npz"
        write_t1_map(t1_map_of(session.native()), native)
        arguments += ["--native", str(native)]
    arguments += ["--preset", parameters.preset.value, "--seed", str(parameters.seed)]
    arguments += ["--device", parameters.device.value]
    for name in ("samples", "steps"):
        if getattr(parameters, name):
            arguments += [f"--{name}", str(getattr(parameters, name))]
    if parameters.modelFolder:
        arguments += ["--model", parameters.modelFolder]
    return arguments


def take_synthesis(session: Session, output: Path, made_from: str) -> None:
    """Takes what `t1diff synthesize --record` left in `output` into session and scene.

    made_from  fingerprint of what stood when the work started
    """
    from T1DiffLogic.scene import add_to_scene
    from T1DiffLogic.scene.display import add_difference, add_marks
    from T1DiffLogic.scene.plots import add_agreement_plots
    from T1DiffLogic.study_files import read_synthesis

    synthesis = read_synthesis(output / RECORD_FILE)
    result = json.loads((output / "result.json").read_text(encoding="utf-8"))
    session.forget(RESULT)
    scene = session.scene
    nodes = add_to_scene(synthesis, scene, result)
    # the cine, the contours and the points of this study are in the scene already, to be edited there
    for role in ("cine", "cine_frame", "cine_browser", "segmentation", "rv_insertion_anterior",
                 "rv_insertion_inferior", "aha"):  # fmt: skip
        for node in _flat(nodes.pop(role, [])):
            scene.RemoveNode(node)
    nodes |= add_difference(synthesis, scene)
    nodes |= add_marks(synthesis, scene)
    if result["agreement"]:
        nodes |= add_agreement_plots(result["agreement"], scene)
    session.nodes.set_many(nodes, RESULT)
    session.parameters.madeFrom = made_from
    session.synthesis, session.result = synthesis, result
    session.nodes.set(RESULT + "kept", keep(scene, "T1Diff result files", _kept_result(session, output)))


def result_folder(session: Session) -> Path:
    """Where the engine writes this study's results."""
    return session.folder() / "result"


def _kept_result(session: Session, output: Path) -> dict[str, bytes]:
    """What a saved scene keeps of a result: all but what the scene holds anyway, and no DICOM, which
    names the patient."""
    from T1DiffLogic.study_files import write_synthesis

    slim = output.with_name("kept.synthesis.npz")
    write_synthesis(session.synthesis, slim, with_cine=False)
    files = files_of(output, without=(RECORD_FILE, "scene.mrb", "dicom"))
    return files | {RECORD_FILE: slim.read_bytes()}


def reopen_synthesis(session: Session) -> None:
    """Takes up the result that a reopened scene keeps. StudyError when it is damaged."""
    from T1DiffLogic.study_files import read_synthesis

    node = session.nodes.get(RESULT + "kept")
    if session.synthesis is not None or node is None:
        return
    folder, files = result_folder(session), kept(node)
    try:
        unpack(files, folder)
        synthesis = read_synthesis(folder / RECORD_FILE, session.cine)
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StudyError(
            "the result in this scene is damaged or cannot be unpacked; synthesise again."
        ) from error
    session.synthesis, session.result = synthesis, result


def labels_of_phases(volume, cine) -> np.ndarray:
    """A volumes.Volume of P frames -> (S, P, R, C) uint8 labels at the cine's own pixels."""
    geometries = volume.geometries
    labels = np.zeros((cine.n_slices, cine.n_phases, *cine.images.shape[2:]), np.uint8)
    pixels = np.stack(np.indices(cine.images.shape[2:]), axis=-1)
    for s, own in enumerate(cine.geometries):
        plane = int(np.argmin([abs(g.distance(own.centre)) for g in geometries]))
        shape = np.array(geometries[plane].shape)
        at = np.rint(geometries[plane].to_pixel(own.to_patient(pixels))).astype(int)
        inside = ((at >= 0) & (at < shape)).all(axis=-1)
        row, column = np.clip(at, 0, shape - 1).transpose(2, 0, 1)
        labels[s] = volume.array[:, plane][:, row, column] * inside
    return labels


def write_points(insertions, path: Path) -> bool:
    """Pairs of points as CSV; False when no slice has both. A single point of a slice is left out."""
    pairs = np.flatnonzero(np.isfinite(insertions).all(axis=(1, 2)))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["label", "slice", "row", "column"])
        for s in pairs:
            for which, name in enumerate(("anterior", "inferior")):
                writer.writerow([name, s, *(f"{v:.3f}" for v in insertions[s, which])])
    return bool(pairs.size)


def _cine_file(session: Session) -> Path:
    from T1DiffLogic.study_files import write_cine

    path = session.folder() / CINE_FILE
    if not path.is_file():
        write_cine(session.cine, path)
    return path


def _flat(nodes) -> list:
    return list(nodes) if isinstance(nodes, list | tuple) else [nodes]
