"""An MRML scene without the Slicer application: the slicer-core wheel and the logics that a scene needs."""

from __future__ import annotations

import tempfile
import types

import slicer

from ..errors import StudyError


def headless_scene() -> slicer.vtkMRMLScene:
    """A new MRML scene that can hold, save and load what T1Diff shows; not for use in the application.

    Outside the application the classes alone are there, so the logics behind them are created here:
    without the segmentations logic, writing an .mrb with a segmentation ends the whole process; without
    the markups logic, points are not saved; without the legend class, reading a scene fails.
    """
    scene = slicer.vtkMRMLScene()
    application = slicer.vtkSlicerApplicationLogic()
    application.SetMRMLScene(scene)
    # the base class: the Colors module's own wants the application's folder of further tables
    default_colours = slicer.vtkMRMLColorLogic()
    default_colours.SetMRMLScene(scene)
    logics = {
        "colors": slicer.vtkSlicerColorLogic(),
        "segmentations": slicer.vtkSlicerSegmentationsModuleLogic(),
        "sequences": slicer.vtkSlicerSequencesLogic(),
        "markups": slicer.vtkSlicerMarkupsLogic(),
    }
    for name in ("segmentations", "sequences", "markups"):
        logics[name].SetMRMLApplicationLogic(application)
        logics[name].SetMRMLScene(scene)
    if not scene.IsNodeClassRegistered("vtkMRMLColorLegendDisplayNode"):
        scene.RegisterNodeClass(slicer.vtkMRMLColorLegendDisplayNode())
    # slicer.util and the nodes look these up by name, as in the application; they also keep the
    # logics alive for as long as the scene is the current one
    slicer.mrmlScene = scene
    slicer.modules = types.SimpleNamespace(
        application_logics=(application, default_colours),
        **{name: types.SimpleNamespace(logic=lambda logic=logic: logic) for name, logic in logics.items()},
    )
    return scene


def load_scene(path) -> slicer.vtkMRMLScene:
    """The scene stored in an .mrb file, without the application. StudyError when it cannot be read."""
    scene = headless_scene()
    manager, store = slicer.vtkDataIOManager(), slicer.vtkCacheManager()
    manager.SetCacheManager(store)
    scene.SetCacheManager(store)
    scene.SetDataIOManager(manager)
    with tempfile.TemporaryDirectory() as unpacked:
        store.SetRemoteCacheDirectory(unpacked)
        if not scene.ReadFromMRB(str(path)):
            raise StudyError(f"{path} is not a readable Slicer scene (.mrb).")
    return scene
