"""A Synthesis as MRML nodes, in the Slicer application or in a headless scene."""

from __future__ import annotations

import json

import slicer

from ..stack_volume import RESAMPLED_NOTE, on_grid, slice_grid, stack_grid
from ..study import RESEARCH_NOTICE, T1_SCALE_NOTICE, Synthesis
from . import colours, volumes
from .cine_sequences import add_cine, compact
from .review import add_insertions, add_segmentation
from .tables import add_segment_table


def add_to_scene(synthesis: Synthesis, scene, statistics: dict | None = None) -> dict:
    """Add everything that was made of one study to an MRML scene and return its nodes by name.

    `statistics` is what result.json holds; without it there is no table. The keys:

    cine, cine_browser, cine_frame   sequence (index: trigger time in ms), its browser at ED, what it shows
    segmentation           ED: RV, LV myocardium, LV cavity
    rv_insertion_anterior, rv_insertion_inferior   point lists, one point per slice that has one
    cine_ed, t1, t1_sd, native, aha, table, provenance …   as `add_results` says

    A stack that is not uniform has no exact volume: then `cine`, `cine_ed`, `t1`, `t1_sd` and
    `native` hold one node per slice (lists), and `t1_resampled`, `cine_ed_resampled` … the volume
    on an even grid, whose attribute T1Diff.Resampled says so; the segmentation and the AHA label
    map lie on that grid.
    """
    geometries, masks = synthesis.cine.geometries, synthesis.segmentation
    grid = stack_grid(geometries)
    nodes = add_cine(synthesis.cine, scene, synthesis.phases.ed)
    nodes |= add_results(synthesis, scene, statistics)
    reference = nodes["cine_ed_resampled" if grid.resampled else "cine_ed"]
    nodes["segmentation"] = add_segmentation(
        masks.labels_ed, geometries, grid, scene, "Segmentation ED", reference
    )
    return nodes | add_insertions(masks.rv_insertions, geometries, scene)


def add_results(synthesis: Synthesis, scene, statistics: dict | None = None) -> dict:
    """Add what was made of a study whose cine, contours and points the scene holds already.

    cine_ed                scalar volume of the ED frame
    t1, t1_sd, native      scalar volumes in ms, Lipari over 700–2000 ms; `native` only if there
    t1_legend …            the colour legends, t1_colours and t1_sd_colours the colours
    aha                    label map of AHA segments 1…16
    table                  AHA-16 rows
    provenance             text node, JSON
    """
    cine, grid = synthesis.cine, stack_grid(synthesis.cine.geometries)
    frame = compact(cine.images[:, synthesis.phases.ed])
    nodes = _stack(scene, "cine_ed", "Cine ED", frame, cine.geometries, grid)
    nodes |= _add_maps(synthesis, scene, grid)
    nodes["aha"] = _add_aha(synthesis, scene, grid)
    if statistics is not None:
        nodes["table"] = add_segment_table(statistics["segments"], scene)
    nodes["provenance"] = _add_provenance(synthesis, scene)
    for node in _flat(nodes.values()):
        node.SetAttribute("T1Diff.Notice", RESEARCH_NOTICE)
    return nodes


def _add_maps(synthesis, scene, grid) -> dict:
    geometries = synthesis.cine.geometries
    t1_colours, sd_colours = colours.add_t1_colours(scene), colours.add_sd_colours(scene)
    nodes = {"t1_colours": t1_colours, "t1_sd_colours": sd_colours}
    maps = [("t1", "Synthetic T1", synthesis.t1_ms), ("t1_sd", "Synthetic T1 SD", synthesis.sd_ms)]
    if synthesis.native_ms is not None:
        maps.append(("native", "Native T1 aligned", synthesis.native_ms))
    for key, name, values in maps:
        added = _stack(scene, key, name, values, geometries, grid)
        for node in _flat(added.values()):
            if key == "t1_sd":
                colours.show_as_sd(node, sd_colours)
            else:
                colours.show_as_t1(node, t1_colours)
            node.SetVoxelValueUnits(_code("ms", "UCUM", "millisecond"))
            node.SetAttribute("T1Diff.Scale", T1_SCALE_NOTICE)
        nodes |= added
        shown = added[f"{key}_resampled" if grid.resampled else key]
        nodes[f"{key}_legend"] = colours.add_legend(shown, f"{name} (ms)\nfor research only")
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


def _add_aha(synthesis, scene, grid):
    labels = on_grid(synthesis.aha, synthesis.cine.geometries, grid)
    node = volumes.add_volume(scene, "AHA segments", labels, grid, "vtkMRMLLabelMapVolumeNode")
    node.GetDisplayNode().SetAndObserveColorNodeID("vtkMRMLColorTableNodeLabels")
    if grid.resampled:
        node.SetAttribute("T1Diff.Resampled", RESAMPLED_NOTE)
    return node


def _add_provenance(synthesis, scene):
    node = scene.AddNewNodeByClass("vtkMRMLTextNode", "T1Diff provenance")
    provenance = {"notice": RESEARCH_NOTICE, "scale": T1_SCALE_NOTICE, **synthesis.provenance}
    phases = {"ed": synthesis.phases.ed, "es": synthesis.phases.es, "count": synthesis.phases.count}
    node.SetText(json.dumps({"phases": phases, "provenance": provenance}, indent=1, ensure_ascii=False))
    node.SetForceCreateStorageNode(True)
    return node


def _code(value, scheme, meaning):
    code = slicer.vtkCodedEntry()
    code.SetValueSchemeMeaning(value, scheme, meaning)
    return code


def _flat(items):
    for item in items:
        yield from item if isinstance(item, list) else [item]
