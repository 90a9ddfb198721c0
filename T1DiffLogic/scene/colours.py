"""Colour tables, windows and legends of quantitative volumes in the scene.

The tables come from `report.colours`, which needs a package that Slicer does not bring. It is
imported where a map is shown, so that a cine can be loaded and reviewed before that is installed.
"""

from __future__ import annotations

import numpy as np
import slicer

NO_DIFFERENCE = -32768.0
"""Voxels of a difference volume without a value: zero is a value there."""


def add_t1_colours(scene):
    """Add Lipari as a colour node.

    Its first entry is the darkest *valid* colour, because Slicer gives it to every value under
    the window; pixels without a value are hidden by the display threshold instead.
    """
    from ..report.colours import lipari_table

    return add_colours(scene, "T1 Lipari", np.vstack([lipari_table()[1], lipari_table()[1:]]))


def add_sd_colours(scene):
    """Add the colours of the standard deviation."""
    from ..report.colours import sd_table

    return add_colours(scene, "T1 SD Devon", sd_table())


def add_difference_colours(scene):
    """Add the diverging colours of a difference: white is zero, blue below, red above."""
    from ..report.colours import difference_table

    return add_colours(scene, "T1 difference Vik", difference_table())


def show_as_t1(node, colours) -> None:
    """Show a T1 volume in ms through `colours` over 700–2000 ms; 0 = no value is not drawn."""
    from ..report.colours import T1_WINDOW_MS

    _show(node, colours, T1_WINDOW_MS, 0.5)


def show_as_sd(node, colours) -> None:
    """Show a volume of standard deviations in ms; 0 = no value is not drawn."""
    from ..report.colours import SD_WINDOW_MS

    _show(node, colours, SD_WINDOW_MS, 0.5)


def show_as_difference(node, colours) -> None:
    """Show a difference in ms over −300–300 ms; NO_DIFFERENCE is not drawn, zero is."""
    from ..report.colours import DIFFERENCE_WINDOW_MS

    _show(node, colours, DIFFERENCE_WINDOW_MS, NO_DIFFERENCE / 2)


def add_legend(node, title: str):
    """Add a colour legend in ms to a displayed volume node."""
    legend = slicer.modules.colors.logic().AddDefaultColorLegendDisplayNode(node)
    legend.SetTitleText(title)
    legend.SetLabelFormat("%.0f ms")
    return legend


def add_colours(scene, name: str, table, names=None, opacity=None):
    """Add a user colour table of (N, 3) RGB in 0…1; `opacity` (N,) is 1 throughout when None."""
    node = scene.AddNewNodeByClass("vtkMRMLColorTableNode", name)
    node.SetTypeToUser()
    node.SetHideFromEditors(False)  # hidden colour nodes are not saved with the scene
    node.SetNumberOfColors(len(table))
    for index, (red, green, blue) in enumerate(table):
        label = f"{name} {index}" if names is None else names[index]
        node.SetColor(index, label, red, green, blue, 1.0 if opacity is None else opacity[index])
    node.AddDefaultStorageNode()
    return node


def _show(node, colours, window, lowest) -> None:
    display = node.GetDisplayNode()
    display.SetAndObserveColorNodeID(colours.GetID())
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(*window)
    display.InterpolateOff()
    display.AutoThresholdOff()
    display.SetLowerThreshold(lowest)
    display.SetUpperThreshold(1e5)
    display.ApplyThresholdOn()
