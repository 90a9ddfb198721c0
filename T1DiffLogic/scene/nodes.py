"""A Synthesis as MRML nodes, in the Slicer application or in a headless scene."""

from __future__ import annotations

import json

import numpy as np
import slicer
import vtk

from ..nrrd_files import LABEL_COLOURS, TERMINOLOGY, index_values
from ..stack_volume import RESAMPLED_NOTE, on_grid, slice_grid, stack_grid
from ..study import LABEL_NAMES, RESEARCH_NOTICE, T1_SCALE_NOTICE, Synthesis
from . import volumes

TABLE_COLUMNS = ("id", "name", "mean_ms", "sd_ms", "median_ms", "n", "uncertainty_ms", "scar_fraction")


def add_to_scene(synthesis: Synthesis, scene, statistics: dict | None = None) -> dict:
    """Add everything that was made of one study to an MRML scene and return its nodes by name.

    `statistics` is what result.json holds; without it there is no table. The keys:

    cine, cine_browser     sequence (index: trigger time in ms) and its browser, at ED
    cine_ed                scalar volume of the ED frame
    t1, t1_sd, native      scalar volumes in ms, Lipari over 700–2000 ms; `native` only if there
    t1_legend              colour legend of `t1`
    segmentation           ED: RV, LV myocardium, LV cavity
    aha                    label map of AHA segments 1…16
    rv_insertion_anterior, rv_insertion_inferior   point lists, one point per slice that has one
    table                  AHA-16 rows
    provenance             text node, JSON

    A stack that is not uniform has no exact volume: then `cine`, `cine_ed`, `t1`, `t1_sd` and
    `native` hold one node per slice (lists), and `t1_resampled`, `cine_ed_resampled` … the volume
    on an even grid, whose attribute T1Diff.Resampled says so; the segmentation and the AHA label
    map lie on that grid.
    """
    grid = stack_grid(synthesis.cine.geometries)
    nodes = _add_cine(synthesis, scene, grid)
    nodes |= _add_maps(synthesis, scene, grid)
    reference = nodes["cine_ed_resampled" if grid.resampled else "cine_ed"]
    nodes["segmentation"] = _add_segmentation(synthesis, scene, grid, reference)
    nodes["aha"] = _add_aha(synthesis, scene, grid)
    nodes |= _add_insertions(synthesis, scene)
    if statistics is not None:
        nodes["table"] = _add_table(scene, statistics["segments"])
    nodes["provenance"] = _add_provenance(synthesis, scene)
    for node in _flat(nodes.values()):
        node.SetAttribute("T1Diff.Notice", RESEARCH_NOTICE)
    return nodes


def _add_cine(synthesis, scene, grid) -> dict:
    cine, ed = synthesis.cine, synthesis.phases.ed
    images = _compact(cine.images)
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "Cine browser")
    frames = np.moveaxis(images, 1, 0)
    times = index_values(cine.trigger_ms)
    if grid.resampled:
        sequences = [
            volumes.add_sequence(scene, f"Cine slice {s}", frames[:, s : s + 1], slice_grid(geometry), times)
            for s, geometry in enumerate(cine.geometries)
        ]
    else:
        sequences = [volumes.add_sequence(scene, "Cine", frames, grid, times)]
    for sequence in sequences:
        browser.AddSynchronizedSequenceNodeID(sequence.GetID())
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    browser.SetSelectedItemNumber(ed)
    nodes = {"cine": sequences if grid.resampled else sequences[0], "cine_browser": browser}
    return nodes | _stack(scene, "cine_ed", "Cine ED", images[:, ed], cine.geometries, grid)


def _add_maps(synthesis, scene, grid) -> dict:
    geometries = synthesis.cine.geometries
    t1_colours, sd_colours = volumes.add_t1_colours(scene), volumes.add_sd_colours(scene)
    nodes = {"t1_colours": t1_colours, "t1_sd_colours": sd_colours}
    maps = [("t1", "Synthetic T1", synthesis.t1_ms), ("t1_sd", "Synthetic T1 SD", synthesis.sd_ms)]
    if synthesis.native_ms is not None:
        maps.append(("native", "Native T1 aligned", synthesis.native_ms))
    for key, name, values in maps:
        added = _stack(scene, key, name, values, geometries, grid)
        for node in _flat(added.values()):
            if key == "t1_sd":
                volumes.show_as_sd(node, sd_colours)
            else:
                volumes.show_as_t1(node, t1_colours)
            node.SetVoxelValueUnits(_code("ms", "UCUM", "millisecond"))
            node.SetAttribute("T1Diff.Scale", T1_SCALE_NOTICE)
        nodes |= added
        shown = added[f"{key}_resampled" if grid.resampled else key]
        nodes[f"{key}_legend"] = volumes.add_legend(shown, f"{name} (ms)\n{RESEARCH_NOTICE}")
    return nodes


def _stack(scene, key, name, values, geometries, grid) -> dict:
    """The volume of a uniform stack; otherwise a volume per slice and the resampled one."""
    if not grid.resampled:
        return {key: volumes.add_volume(scene, name, values, grid)}
    slices = [
        volumes.add_volume(scene, f"{name} slice {s}", values[s][None], slice_grid(geometry))
        for s, geometry in enumerate(geometries)
    ]
    whole = volumes.add_volume(scene, f"{name} (resampled)", on_grid(values, geometries, grid), grid)
    whole.SetAttribute("T1Diff.Resampled", RESAMPLED_NOTE)
    return {key: slices, f"{key}_resampled": whole}


def _add_segmentation(synthesis, scene, grid, reference):
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Segmentation ED")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(reference)
    labels = on_grid(synthesis.segmentation.labels_ed, synthesis.cine.geometries, grid)
    segmentation = node.GetSegmentation()
    for value, name in LABEL_NAMES.items():
        identifier = segmentation.AddEmptySegment(name.replace(" ", "_"), name, LABEL_COLOURS[value])
        segmentation.GetSegment(identifier).SetTag("TerminologyEntry", TERMINOLOGY[value])
        mask = volumes.oriented_image((labels == value).astype(np.uint8), grid)
        slicer.vtkSlicerSegmentationsModuleLogic.SetBinaryLabelmapToSegment(mask, node, identifier)
    segmentation.CollapseBinaryLabelmaps(False)
    if grid.resampled:
        node.SetAttribute("T1Diff.Resampled", RESAMPLED_NOTE)
    return node


def _add_aha(synthesis, scene, grid):
    labels = on_grid(synthesis.aha, synthesis.cine.geometries, grid)
    node = volumes.add_volume(scene, "AHA segments", labels, grid, "vtkMRMLLabelMapVolumeNode")
    node.GetDisplayNode().SetAndObserveColorNodeID("vtkMRMLColorTableNodeLabels")
    if grid.resampled:
        node.SetAttribute("T1Diff.Resampled", RESAMPLED_NOTE)
    return node


def _add_insertions(synthesis, scene) -> dict:
    nodes = {}
    for which, name in enumerate(("anterior", "inferior")):
        node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", f"RV insertion {name}")
        node.CreateDefaultDisplayNodes()
        for index, geometry in enumerate(synthesis.cine.geometries):
            pixel = synthesis.segmentation.rv_insertions[index, which]
            if np.isfinite(pixel).all():
                point = volumes.to_ras(geometry.to_patient(pixel))
                node.AddControlPoint(vtk.vtkVector3d(*point), f"{name} {index}")
        nodes[f"rv_insertion_{name}"] = node
    return nodes


def _add_table(scene, segments):
    """A table node of the AHA-16 rows; an empty segment has NaN where it has no number."""
    node = scene.AddNewNodeByClass("vtkMRMLTableNode", "AHA-16 synthetic T1")
    for column in TABLE_COLUMNS:
        if column == "name":
            array = vtk.vtkStringArray()
        else:
            array = vtk.vtkIntArray() if column in ("id", "n") else vtk.vtkDoubleArray()
        array.SetName(column)
        for row in segments:
            value = row[column]
            array.InsertNextValue(float("nan") if value is None else value)
        node.AddColumn(array)
    node.SetUseColumnTitleAsColumnHeader(True)
    node.SetUseFirstColumnAsRowHeader(False)
    return node


def _add_provenance(synthesis, scene):
    node = scene.AddNewNodeByClass("vtkMRMLTextNode", "T1Diff provenance")
    provenance = {"notice": RESEARCH_NOTICE, "scale": T1_SCALE_NOTICE, **synthesis.provenance}
    phases = {"ed": synthesis.phases.ed, "es": synthesis.phases.es, "count": synthesis.phases.count}
    node.SetText(json.dumps({"phases": phases, "provenance": provenance}, indent=1, ensure_ascii=False))
    node.SetForceCreateStorageNode(True)
    return node


def _compact(images: np.ndarray) -> np.ndarray:
    """Whole numbers as int16, which halves the scene; other values as they are."""
    if images.min() >= -32768 and images.max() <= 32767 and np.array_equal(images, np.rint(images)):
        return images.astype(np.int16)
    return images


def _code(value, scheme, meaning):
    code = slicer.vtkCodedEntry()
    code.SetValueSchemeMeaning(value, scheme, meaning)
    return code


def _flat(items):
    for item in items:
        yield from item if isinstance(item, list) else [item]
