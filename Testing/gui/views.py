"""Pictures of the views of the current layout, so that a person can look at what the panel shows.

Slices are blended by Slicer's own slice logic (background, map, label outline); contours and points,
which the application draws with displayable managers, and charts are drawn here.
"""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET

import numpy as np
import slicer
import vtk
from PySide6 import QtCore, QtGui, QtWidgets
from vtk.util.numpy_support import vtk_to_numpy

_LOGICS: dict = {}


def layout_picture(width: int, height: int) -> QtGui.QImage:
    """The views of the layout that the scene is in."""
    image = QtGui.QImage(width, height, QtGui.QImage.Format_RGB888)
    image.fill(QtGui.QColor(30, 30, 40))
    node = slicer.app.layoutManager().layoutLogic().GetLayoutNode()
    painter = QtGui.QPainter(image)
    text = node.GetLayoutDescription(node.GetViewArrangement())
    if text:
        _draw(ET.fromstring(text), QtCore.QRect(0, 0, width, height), painter)
    painter.end()
    return image


def _draw(element, where, painter):
    if element.tag == "view":
        painter.drawImage(where.topLeft(), _view(element, where.width(), where.height()))
        return
    across = element.get("type") == "horizontal"
    items = element.findall("item")
    sizes = np.array([float(i.get("splitSize", 1)) for i in items])
    edges = np.concatenate([[0], np.cumsum(sizes / sizes.sum())])
    length = where.width() if across else where.height()
    for item, start, end in zip(items, edges * length, edges[1:] * length):
        start, end = int(start) + 1, int(end) - 1
        part = (
            QtCore.QRect(where.left() + start, where.top(), end - start, where.height())
            if across
            else QtCore.QRect(where.left(), where.top() + start, where.width(), end - start)
        )
        _draw(item[0], part, painter)


def _view(element, width, height):
    kind, tag = element.get("class"), element.get("singletontag")
    node = slicer.mrmlScene.GetSingletonNode(tag, kind)
    if kind == "vtkMRMLSliceNode":
        return slice_picture(node, width, height)
    if kind == "vtkMRMLPlotViewNode":
        return _chart(slicer.mrmlScene.GetNodeByID(node.GetPlotChartNodeID() or ""), width, height)
    return _table(slicer.mrmlScene.GetNodeByID(node.GetTableNodeID() or ""), width, height)


def slice_picture(node, width, height) -> QtGui.QImage:
    """One slice view at its own field of view."""
    fov = node.GetFieldOfView()
    node.SetDimensions(width, height, 1)
    node.SetFieldOfView(fov[1] * width / height, fov[1], fov[2])  # as a resized view does in Slicer
    logic = _LOGICS.get(node.GetName())
    if logic is None or logic.GetMRMLScene() is not slicer.mrmlScene:
        logic = slicer.vtkMRMLSliceLogic()
        logic.SetMRMLScene(slicer.mrmlScene)
        logic.SetSliceNode(node)
        logic.SetSliceCompositeNode(
            next(
                c
                for c in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode", slicer.mrmlScene)
                if c.GetLayoutName() == node.GetLayoutName()
            )
        )
        _LOGICS[node.GetName()] = logic
    logic.UpdatePipeline()
    connection = logic.GetImageDataConnection()
    image = QtGui.QImage(width, height, QtGui.QImage.Format_RGB888)
    image.fill(QtGui.QColor(0, 0, 0))
    if connection is not None:
        connection.GetProducer().Update()
        data = connection.GetProducer().GetOutputDataObject(connection.GetIndex())
        scalars = data.GetPointData().GetScalars() if data is not None else None
        if scalars is not None:
            columns, rows, _ = data.GetDimensions()
            array = vtk_to_numpy(scalars).reshape(rows, columns, -1)[::-1, :, :3]
            array = np.ascontiguousarray(array[:height, :width])
            image = QtGui.QImage(
                array.data, array.shape[1], array.shape[0], array.strides[0], QtGui.QImage.Format_RGB888
            ).copy()
    painter = QtGui.QPainter(image)
    _contours(painter, node, width, height)
    _points(painter, node, height)
    _labels(painter, node)
    painter.end()
    return image


def _to_ras(node, width, height):
    matrix = slicer.util.arrayFromVTKMatrix(node.GetXYToRAS())
    y, x = np.mgrid[:height, :width]
    points = np.stack([x, height - 1 - y, np.zeros_like(x), np.ones_like(x)], axis=-1)
    return (points @ matrix.T)[..., :3]


def _contours(painter, node, width, height):
    ras = None
    for segmentation in slicer.util.getNodesByClass("vtkMRMLSegmentationNode", slicer.mrmlScene):
        display = segmentation.GetDisplayNode()
        if display is None or not display.GetVisibility():
            continue
        ras = _to_ras(node, width, height) if ras is None else ras
        for index in range(segmentation.GetSegmentation().GetNumberOfSegments()):
            identifier = segmentation.GetSegmentation().GetNthSegmentID(index)
            part = slicer.vtkOrientedImageData()
            segmentation.GetBinaryLabelmapRepresentation(identifier, part)
            if part.IsEmpty():
                continue
            inside = _sampled(part, ras)
            around = [np.roll(inside, step, axis) for axis in (0, 1) for step in (1, -1)]
            edge = inside & ~np.logical_and.reduce(around)
            colour = QtGui.QColor.fromRgbF(*segmentation.GetSegmentation().GetNthSegment(index).GetColor())
            painter.setPen(QtGui.QPen(colour, 2))
            for y, x in np.argwhere(edge):
                painter.drawPoint(int(x), int(y))


def _sampled(part, ras):
    extent = part.GetExtent()
    array = vtk_to_numpy(part.GetPointData().GetScalars()).reshape(
        extent[5] - extent[4] + 1, extent[3] - extent[2] + 1, extent[1] - extent[0] + 1
    )
    matrix = vtk.vtkMatrix4x4()
    part.GetWorldToImageMatrix(matrix)
    matrix = slicer.util.arrayFromVTKMatrix(matrix)
    index = np.rint(ras @ matrix[:3, :3].T + matrix[:3, 3]).astype(int) - np.array(extent[::2])
    size = np.array(array.shape[::-1])
    inside = ((index >= 0) & (index < size)).all(axis=-1)
    i, j, k = np.clip(index, 0, size - 1).transpose(2, 0, 1)
    return inside & (array[k, j, i] != 0)


def _points(painter, node, height):
    inverse = vtk.vtkMatrix4x4()
    vtk.vtkMatrix4x4.Invert(node.GetXYToRAS(), inverse)
    inverse = slicer.util.arrayFromVTKMatrix(inverse)
    thickness = 4.0
    for points in slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode", slicer.mrmlScene):
        if points.GetDisplayNode() is None or not points.GetDisplayNode().GetVisibility():
            continue
        for number in range(points.GetNumberOfControlPoints()):
            position = np.array([*points.GetNthControlPointPositionWorld(number), 1.0])
            normal = slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS())
            if abs((position[:3] - normal[:3, 3]) @ normal[:3, 2]) > thickness:
                continue
            x, y = (inverse @ position)[:2]
            painter.setPen(QtGui.QPen(QtGui.QColor(255, 80, 160), 2))
            painter.drawEllipse(QtCore.QPointF(x, height - 1 - y), 4, 4)
            painter.drawText(QtCore.QPointF(x + 7, height - 4 - y), points.GetNthControlPointLabel(number))


def _labels(painter, node):
    """Titles of the legends that are on, as the application writes them beside the colour bar."""
    composite = next(
        c
        for c in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode", slicer.mrmlScene)
        if c.GetLayoutName() == node.GetLayoutName()
    )
    shown = slicer.mrmlScene.GetNodeByID(composite.GetForegroundVolumeID() or "")
    painter.setPen(QtGui.QColor("white"))
    if shown is not None:
        legend = slicer.modules.colors.logic().GetColorLegendDisplayNode(shown)
        if legend is not None and legend.GetVisibility():
            painter.drawText(QtCore.QRect(6, 4, 600, 60), QtCore.Qt.AlignLeft, legend.GetTitleText())


def _chart(chart, width, height):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(width / 80, height / 80), dpi=80)
    if chart is not None:
        for index in range(chart.GetNumberOfPlotSeriesNodes()):
            series = chart.GetNthPlotSeriesNode(index)
            table = series.GetTableNode().GetTable()
            x, y = (
                [
                    table.GetColumnByName(name).GetValue(i)
                    for i in range(table.GetColumnByName(name).GetNumberOfTuples())
                ]
                for name in (series.GetXColumnName(), series.GetYColumnName())
            )
            line = {0: "none", 1: "-", 2: "--"}.get(series.GetLineStyle(), "-")
            marker = "o" if series.GetMarkerStyle() else ""
            axes.plot(x, y, linestyle=line, marker=marker, color=series.GetColor(),
                      label=series.GetName(), markersize=series.GetMarkerSize() * 0.6)  # fmt: skip
        axes.legend(fontsize=7)
        axes.set(title=chart.GetTitle(), xlabel=chart.GetXAxisTitle(), ylabel=chart.GetYAxisTitle())
    figure.tight_layout()
    stream = io.BytesIO()
    figure.savefig(stream)
    pyplot.close(figure)
    return QtGui.QImage.fromData(stream.getvalue()).scaled(width, height)


def _table(table, width, height):
    widget = QtWidgets.QTableWidget()
    widget.resize(width, height)
    if table is not None:
        rows, columns = table.GetNumberOfRows(), table.GetNumberOfColumns()
        widget.setRowCount(rows)
        widget.setColumnCount(columns)
        names = [table.GetColumnName(c) for c in range(columns)]
        widget.setHorizontalHeaderLabels([table.GetColumnTitle(name) or name for name in names])
        for row in range(rows):
            for column in range(columns):
                widget.setItem(row, column, QtWidgets.QTableWidgetItem(table.GetCellText(row, column)))
    return widget.grab().toImage()


def screenshot(frame, path, width=1500, height=860) -> None:
    """Panel on the left, views on the right, as in the application."""
    frame.resize(470, height)
    QtWidgets.QApplication.processEvents()
    whole = QtGui.QImage(width, height, QtGui.QImage.Format_RGB888)
    painter = QtGui.QPainter(whole)
    painter.drawPixmap(0, 0, frame.grab())
    painter.drawImage(470, 0, layout_picture(width - 470, height))
    painter.end()
    whole.save(str(path))
