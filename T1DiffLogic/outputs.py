"""The folder of one study: written beside its place, moved in when whole, result.json last."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
import time
from pathlib import Path

from . import nrrd_files, statistics
from .errors import StudyError
from .progress import silent
from .report.bullseye import write_bullseye, write_thickening
from .report.identity import read_identity
from .report.overlay import write_overlay
from .report.page import build_page
from .report.phases import write_phases
from .report.reference import Reference, compared, read_reference
from .report.table import write_segments
from .stack_volume import RESAMPLED_NOTE
from .study import RESEARCH_NOTICE, T1_SCALE_NOTICE, Cine, Synthesis
from .study_files import plain_value

RESULT = "result.json"
STAGE = ".t1diff-"
"""Prefix of hidden folders in which files are made before they are moved in; leftovers are cleared away."""

SCENE_ROOM_BYTES = 128 * 2**20
"""With less room than this a scene that could not be written is a full disk: it is made, then packed."""

_LABEL_HEADER = {"T1Diff_notice": RESEARCH_NOTICE}
_MAP_HEADER = _LABEL_HEADER | {"T1Diff_scale": T1_SCALE_NOTICE}


def check_writable(folder) -> None:
    """StudyError when nothing can be written into `folder`, before any long work is done."""
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise StudyError(f"{folder} is a file; give the output a folder's name.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise StudyError(
            f"{folder} cannot be written to ({error.strerror}); choose another with -o."
        ) from error


def write_outputs(
    synthesis: Synthesis,
    folder,
    seconds=None,
    progress=None,
    reference: Reference | None = None,
    identify: bool = False,
) -> dict:
    """Write everything of one study into `folder` and return what result.json holds.

    seconds    seconds by stage so far; the time of writing is added
    progress   called with ("write", fraction, file name)
    reference  the site's range of native T1, this installation's by default
    identify   whether report.html, and nothing else beside dicom/, names the patient

    The files are made in a hidden folder within and moved in only when all are whole; other files
    that lie in `folder` stay. result.json is removed first and comes back last, so that a folder
    with one is complete. Raises StudyError when the folder cannot be written to.
    """
    folder, progress, start = Path(folder), progress or silent, time.perf_counter()
    check_writable(folder)
    result = study_result(synthesis, reference)
    with Staged(folder) as stage:
        files = _write_files(synthesis, result, stage, progress, identify)
        result["files"] = files
        result["seconds"] = {**(seconds or {}), "write": time.perf_counter() - start}
        (stage / RESULT).write_text(_json(result), encoding="utf-8")
    progress("write", 1.0)
    return result


def remove_earlier(folder: Path) -> None:
    """Remove result.json of an earlier run, then the files that it lists; all else in `folder` stays."""
    earlier = _listed(folder / RESULT)
    (folder / RESULT).unlink(missing_ok=True)
    for path in earlier:
        (folder / path).unlink(missing_ok=True)


def write_segmentation(cine: Cine, anatomy, folder, all_phases: bool = False) -> dict[str, str]:
    """Write what `t1diff segment` leaves and return the files by role.

    anatomy  segmentation.StudyAnatomy of `cine`

    labels_ed.nrrd, labels_es.nrrd: uint8 in cine geometry; labels.seq.nrrd with `all_phases`;
    function.json, written last: ed, es, edv_ml, esv_ml, ef_percent, mass_g and for each slice
    index, level, judged, quality and flags. Raises StudyError when the folder cannot be written to.
    """
    folder = Path(folder)
    check_writable(folder)
    masks, geometries, files = anatomy.segmentation, cine.geometries, {}
    with Staged(folder, "function.json") as stage:
        for name, labels in (("labels_ed", masks.labels_ed), ("labels_es", masks.labels_es)):
            files |= _roles(name, nrrd_files.write_stack(labels, geometries, stage, name, _LABEL_HEADER))
        if all_phases:
            files["labels"] = "labels.seq.nrrd"
            path = stage / files["labels"]
            nrrd_files.write_label_sequence(anatomy.labels, geometries, cine.trigger_ms, path, _LABEL_HEADER)
        files["function"] = "function.json"
        slices = [
            {"index": s, "level": level, "judged": bool(judged), "quality": quality, "flags": list(flags)}
            for s, (level, judged, quality, flags) in enumerate(
                zip(anatomy.levels, anatomy.judged, anatomy.quality, anatomy.flags, strict=True)
            )
        ]
        function = {"ed": anatomy.phases.ed, "es": anatomy.phases.es, **anatomy.function, "slices": slices}
        function |= {"notice": RESEARCH_NOTICE, "notes": [*cine.source.notes, *anatomy.notes], "files": files}
        (stage / files["function"]).write_text(_json(function), encoding="utf-8")
    return files


def study_result(synthesis: Synthesis, reference: Reference | None = None) -> dict:
    """result.json without its files and seconds: plain JSON values, None for what cannot be known.

    reference  the site's range of native T1, this installation's by default
    """
    segmentation, geometries = synthesis.segmentation, synthesis.cine.geometries
    provenance = dict(synthesis.provenance)
    notes = list(provenance.pop("notes", []))
    if not synthesis.cine.is_uniform():
        notes.append(f"the stack is not uniform: slices/ holds each slice, the volumes are {RESAMPLED_NOTE}")
    provenance |= {"notice": RESEARCH_NOTICE, "scale": T1_SCALE_NOTICE}
    result = {
        "status": "ok",
        "phases": {"ed": synthesis.phases.ed, "es": synthesis.phases.es, "count": synthesis.phases.count},
        "slices": [
            {
                "index": s.index,
                "level": s.level,
                "valid": bool(s.valid),
                "quality": s.quality,
                "flags": list(s.flags),
            }
            for s in synthesis.slices
        ],
        "global": statistics.global_t1(synthesis),
        "midseptal": statistics.midseptal_t1(synthesis),
        "segments": [row.as_dict() for row in statistics.segment_table(synthesis)],
        "agreement": statistics.agreement(synthesis),
        "function": statistics.ventricular_function(
            segmentation.labels_ed, segmentation.labels_es, geometries
        ),
        "provenance": provenance,
        "notes": notes,
    }
    return result | {"reference": compared(reference or read_reference(), result)}


def _write_files(synthesis: Synthesis, result: dict, stage: Path, progress, identify: bool) -> dict[str, str]:
    geometries, files = synthesis.cine.geometries, {}
    progress("write", 0.0, "maps")
    header = _MAP_HEADER | {"T1Diff_trained_on": synthesis.provenance["trained_on"]}
    for name, values in (("t1_map", synthesis.t1_ms), ("t1_sd", synthesis.sd_ms), ("valid", synthesis.valid)):
        files |= _roles(name, nrrd_files.write_stack(values, geometries, stage, name, header))
    files["segmentation"] = "segmentation.seg.nrrd"
    labels = synthesis.segmentation.labels_ed
    nrrd_files.write_segmentation(labels, geometries, stage / files["segmentation"], _LABEL_HEADER)
    files["segments"] = "segments.csv"
    write_segments(result["segments"], stage / files["segments"])
    progress("write", 0.2, "pictures")
    for name, draw in (
        ("overlay", lambda path: write_overlay(synthesis, path)),
        ("bullseye", lambda path: write_bullseye(result, path)),
        ("thickening", lambda path: write_thickening(result, path)),
        ("phases", lambda path: write_phases(synthesis, path)),
    ):
        files[name] = f"{name}.png"
        draw(stage / files[name])
    progress("write", 0.5, "DICOM")
    files |= _write_dicom(synthesis, result, stage, stage / files["overlay"])
    progress("write", 0.6, "scene")
    files |= _write_scene(synthesis, result, (stage / "scene.mrb").absolute())
    progress("write", 0.9, "report")
    identity = None
    if identify:
        identity, why_not = read_identity(synthesis.cine)
        result["notes"] += [why_not] if why_not else []
    files["report"] = "report.html"
    (stage / files["report"]).write_text(build_page(result, synthesis, identity), encoding="utf-8")
    return files | {"result": RESULT}


def _write_scene(synthesis: Synthesis, result: dict, path: Path) -> dict[str, str]:
    """scene.mrb; none, and a note with the reason, where it cannot be made. OSError when the disk is full:
    what follows would not fit either, and a run with more room should leave a scene."""
    try:
        from .scene import save_scene

        save_scene(synthesis, path, result)
    except StudyError as reason:
        path.unlink(missing_ok=True)
        if shutil.disk_usage(path.parent).free < SCENE_ROOM_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from reason
        # the hidden folder's own path says nothing to anybody
        told = str(reason).replace(str(path), "it")
        result["notes"].append(f"scene.mrb was not written: {told}")
        return {}
    return {"scene": path.name}


def _write_dicom(synthesis: Synthesis, result: dict, stage: Path, overlay: Path) -> dict[str, str]:
    """The files of dicom/; none, and a note, where they cannot be made."""
    try:
        from .dicom_out.files import write_dicom

        files, notes = write_dicom(synthesis, result["segments"], overlay, stage)
    except StudyError as reason:
        result["notes"].append(f"dicom/ was not written: {reason}")
        return {}
    result["notes"] += notes
    return files


def _roles(name: str, written: list[str]) -> dict[str, str]:
    """The first file is the volume, the others are single slices of a stack that is not uniform."""
    return {name: written[0]} | {path.removesuffix(".nrrd"): path for path in written[1:]}


def _json(value) -> str:
    """Strict JSON: NaN and infinity are errors of ours, not something to hand on."""
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False, default=plain_value) + "\n"


class Staged:
    """A hidden folder within `folder` whose files are moved up at the end, the file `last` last.

    Each move is atomic, being on one file system. When anything fails before, nothing has been
    moved and `folder` is as it was. Files that an earlier `last` lists and that were not made again
    are removed, so that nothing of another study's run is taken for this one's; all else stays.
    """

    def __init__(self, folder: Path, last: str = RESULT):
        self.folder, self.last = folder, last

    def __enter__(self) -> Path:
        try:
            for left_by_a_killed_run in self.folder.glob(f"{STAGE}*"):
                shutil.rmtree(left_by_a_killed_run, ignore_errors=True)
            self.stage = Path(tempfile.mkdtemp(prefix=STAGE, dir=self.folder))
        except OSError as error:
            raise self._sentence(error) from error
        return self.stage

    def __exit__(self, kind, error, _):
        try:
            if kind is None:
                self._move_in()
        except OSError as failure:
            raise self._sentence(failure) from failure
        finally:
            shutil.rmtree(self.stage, ignore_errors=True)
        if isinstance(error, OSError):
            raise self._sentence(error) from error

    def _sentence(self, error: OSError) -> StudyError:
        reason = error.strerror or "the disk may be full"
        return StudyError(
            f"{self.folder} could not be written ({reason}); free space or choose another with -o."
        )

    def _move_in(self) -> None:
        made = sorted(p.relative_to(self.stage) for p in self.stage.rglob("*") if p.is_file())
        earlier = _listed(self.folder / self.last)
        # from here on the folder is between two states, which the missing last file tells
        (self.folder / self.last).unlink(missing_ok=True)
        for path in earlier - {str(p.as_posix()) for p in made}:
            (self.folder / path).unlink(missing_ok=True)
        for path in sorted(made, key=lambda p: p == Path(self.last)):
            target = self.folder / path
            target.parent.mkdir(exist_ok=True)
            os.replace(self.stage / path, target)


def _listed(last: Path) -> set[str]:
    """Files of an earlier run, by its own list; only plain names in the folder, slices/ and dicom/."""
    try:
        files = json.loads(last.read_text(encoding="utf-8"))["files"]
        paths = {str(p) for p in files.values()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return set()
    folders = (Path("."), Path("slices"), Path("dicom"))
    return {p for p in paths if Path(p).parent in folders and Path(p).name not in ("", "..")}
