"""Scenes as Slicer's importers leave them: real nodes, filled from DICOM files by Slicer's own reader."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pydicom
import slicer
import vtk

from T1DiffLogic.scene import volumes
from T1DiffLogic.stack_volume import stack_grid


def read_image(path):
    """Pixels and IJK-to-RAS of one file by the reader that the Image Sequence importer uses."""
    reader = slicer.vtkITKArchetypeImageSeriesScalarReader()
    reader.SetArchetype(str(path))
    reader.AddFileName(str(path))
    reader.SetSingleFile(True)
    reader.SetOutputScalarTypeToNative()
    reader.SetDesiredCoordinateOrientationToNative()
    reader.SetUseNativeOriginOn()
    reader.SetDICOMImageIOApproachToGDCM()
    reader.Update()
    assert reader.GetErrorCode() == 0
    image, matrix = vtk.vtkImageData(), vtk.vtkMatrix4x4()
    image.DeepCopy(reader.GetOutput())
    vtk.vtkMatrix4x4.Invert(reader.GetRasToIjkMatrix(), matrix)
    return image, matrix


def by_series(paths):
    """Series instance UID -> [(path, header)], in order of appearance."""
    series = defaultdict(list)
    for path in paths:
        header = pydicom.dcmread(path, stop_before_pixels=True)
        series[header.SeriesInstanceUID].append((path, header))
    return series


def image_sequences(paths, scene, trigger_times=True):
    """One sequence and browser per series, every image a frame of its own, indexed by InstanceNumber.

    What DICOMImageSequencePlugin of Slicer 5.10 to 5.13 writes: the index is named 'instance number'
    and has no unit; time and identity are attributes of each frame.
    """
    made = []
    for files in by_series(paths).values():
        header = files[0][1]
        name = f"{header.SeriesNumber}: {header.Modality} {header.SeriesDescription}"
        sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", name)
        sequence.SetIndexName("instance number")
        sequence.SetIndexUnit("")
        frame = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
        for path, header in sorted(files, key=lambda item: int(item[1].InstanceNumber)):
            image, matrix = read_image(path)
            image.SetSpacing(1, 1, 1)
            image.SetOrigin(0, 0, 0)
            frame.SetIJKToRASMatrix(matrix)
            frame.SetAndObserveImageData(image)
            frame.SetAttribute("DICOM.instanceUIDs", header.SOPInstanceUID)
            if trigger_times and "TriggerTime" in header:
                frame.SetAttribute("DICOM.triggerTime", str(header.TriggerTime))
            sequence.SetDataNodeAtValue(frame, str(header.InstanceNumber))
        scene.RemoveNode(frame)
        browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", f"{name} browser")
        browser.AddSynchronizedSequenceNode(sequence)
        made.append((sequence, browser))
    slicer.modules.sequences.logic().UpdateAllProxyNodes()
    return made


def multi_volume(cine, scene, tag="TriggerTime", unit="ms"):
    """All phases as components of one volume, the times as frame labels: the MultiVolume importer.

    Its own node class comes with an extension; a vector volume holds pixels and attributes alike.
    """
    grid = stack_grid(cine.geometries)
    node = scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "cine_SAX - as a 8 frames MultiVolume")
    slicer.util.updateVolumeFromArray(node, np.moveaxis(cine.images, 1, -1).astype(np.int16))
    node.SetIJKToRASMatrix(volumes.ijk_to_ras(grid))
    labels = ",".join(str(t) for t in cine.trigger_ms[0])
    node.SetAttribute("MultiVolume.FrameLabels", labels)
    node.SetAttribute("MultiVolume.FrameIdentifyingDICOMTagName", tag)
    node.SetAttribute("MultiVolume.FrameIdentifyingDICOMTagUnits", unit)
    node.SetAttribute("MultiVolume.NumberOfFrames", str(cine.n_phases))
    return node


def volume_sequence(cine, scene):
    """The MultiVolume importer's other form: a sequence of volumes, indexed by a bare frame number."""
    grid = stack_grid(cine.geometries)
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "cine_SAX")
    sequence.SetIndexName("")
    sequence.SetIndexUnit("")
    frame = slicer.vtkMRMLScalarVolumeNode()
    for phase in range(cine.n_phases):
        slicer.util.updateVolumeFromArray(frame, np.ascontiguousarray(cine.images[:, phase]))
        frame.SetIJKToRASMatrix(volumes.ijk_to_ras(grid))
        sequence.SetDataNodeAtValue(frame, str(phase))
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "cine_SAX browser")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    browser.SetSaveChanges(sequence, True)
    browser.SetOverwriteProxyName(sequence, True)
    slicer.modules.sequences.logic().UpdateAllProxyNodes()
    return sequence, browser
