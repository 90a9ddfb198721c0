"""A native T1 map as scalar volumes in ms."""

from __future__ import annotations

GREY_WINDOW_MS = (700.0, 2000.0)


def add_t1_map(t1_map, scene, name: str) -> list:
    """Add a T1DiffLogic.T1Map to `scene` and return its volumes, shown through Lipari over 700–2000 ms.

    Where the package with Lipari is not installed yet, a map is shown in grey over the same window,
    and its attribute T1Diff.Notes says so.

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
    notes = list(t1_map.notes)
    try:
        table = colours.add_t1_colours(scene)
    except ModuleNotFoundError as error:
        table = None
        notes.append(f"Shown in grey: the Python package {error.name} is not installed.")
    for node in added:
        node.SetVoxelValueUnits(units)
        node.SetAttribute("T1Diff.Notes", " ".join(notes))
        if table is not None:
            colours.show_as_t1(node, table)
        else:
            display = node.GetDisplayNode()
            display.AutoWindowLevelOff()
            display.SetWindowLevelMinMax(*GREY_WINDOW_MS)
    return added
