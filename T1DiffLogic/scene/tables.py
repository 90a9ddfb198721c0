"""Tables in MRML: the AHA-16 rows, and the values that plots are drawn from."""

from __future__ import annotations

import vtk

from ..statistics import SEGMENT_COLUMNS
from ..study import RESEARCH_NOTICE

_WHOLE = ("id", "n")


def add_segment_table(rows, scene):
    """Add a table node of the AHA-16 rows (statistics.SegmentRow or its dict) and return it.

    An empty segment has NaN where it has no number.
    """
    node = scene.AddNewNodeByClass("vtkMRMLTableNode", "AHA-16 synthetic T1")
    node.SetUseColumnTitleAsColumnHeader(True)
    node.SetUseFirstColumnAsRowHeader(False)
    node.SetAttribute("T1Diff.Notice", RESEARCH_NOTICE)
    update_segment_table(node, rows)
    return node


def update_segment_table(node, rows) -> None:
    """Put other rows into the same table node, as for another scar rule; views of it follow."""
    rows = [row if isinstance(row, dict) else row.as_dict() for row in rows]
    fill_table(node, {name: [row[name] for row in rows] for name in SEGMENT_COLUMNS}, _WHOLE)


def fill_table(node, columns: dict, whole=()) -> None:
    """Replace the columns of a table node by name; None becomes NaN, names in `whole` hold integers."""
    modifying = node.StartModify()
    node.RemoveAllColumns()
    for name, values in columns.items():
        if any(isinstance(value, str) for value in values):
            array = vtk.vtkStringArray()
        else:
            array = vtk.vtkIntArray() if name in whole else vtk.vtkDoubleArray()
        array.SetName(name)
        for value in values:
            array.InsertNextValue(float("nan") if value is None else value)
        node.AddColumn(array)
    node.EndModify(modifying)
