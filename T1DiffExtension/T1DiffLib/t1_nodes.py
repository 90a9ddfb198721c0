"""A native T1 map as scalar volumes in ms."""

from __future__ import annotations


def add_t1_map(t1_map, scene, name: str) -> list:
    """Add a T1DiffLogic.T1Map to `scene` and return its volumes, shown through Lipari over 700–2000 ms.

    One volume where the slices make an even stack, else one per slice: T1 is measured pixel by
    pixel, and resampling between distant slices would invent values.
    """
    import slicer

    from T1DiffLogic.scene import colours, volumes
    from T1DiffLogic.stack_volume import slice_grid, stack_grid
    from T1DiffLogic.study import stack_is_uniform

    if stack_is_uniform(t1_map.geometries):
        added = [volumes.add_volume(scene, name, t1_map.values_ms, stack_grid(t1_map.geometries))]
    else:
        added = [
            volumes.add_volume(scene, f"{name} slice {index}", values[None], slice_grid(geometry))
            for index, (values, geometry) in enumerate(zip(t1_map.values_ms, t1_map.geometries, strict=True))
        ]
    units = slicer.vtkCodedEntry()
    units.SetValueSchemeMeaning("ms", "UCUM", "millisecond")
    table = colours.add_t1_colours(scene)
    for node in added:
        node.SetVoxelValueUnits(units)
        node.SetAttribute("T1Diff.Notes", " ".join(t1_map.notes))
        colours.show_as_t1(node, table)
    return added
