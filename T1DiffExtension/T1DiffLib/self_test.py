"""The module's self-test inside Slicer: "Reload and Test", and CTest.

More scenarios, with clicks and exit codes, are in Testing/slicer of the source tree.
"""

from __future__ import annotations


def run(test) -> None:
    """Run everything with the unittest.TestCase `test`; the synthesis is skipped where torch is missing."""
    import slicer

    slicer.mrmlScene.Clear()
    check_installation(test)
    cine_only(test)
    from . import dependencies

    report = dependencies.examine()
    if not report.ready:
        test.skipTest(f"no synthesis was tried: {report.sentence}")
    console(test)


def check_installation(test) -> None:
    """Every part is found, in whichever tree this is."""
    import slicer

    import T1DiffLogic
    from T1DiffLogic.resources import installed_segmenter, model_folder

    from . import paths

    test.assertEqual(slicer.util.getModuleLogic("T1Diff").moduleName, "T1Diff")
    test.assertIn("DICOMT1DiffPlugin", slicer.modules.dicomPlugins)
    test.assertTrue(T1DiffLogic.__file__.startswith(str(paths.package_parent())))
    for name in ("UI/T1Diff.ui", "Icons/T1Diff.png"):
        with open(paths.resource(name), "rb") as file:
            test.assertTrue(file.read(1))
    test.assertTrue((model_folder("fast") / "model.safetensors").is_file())
    test.assertTrue((installed_segmenter() / "model.safetensors").is_file())
    test.assertTrue(paths.pyproject().is_file())


def cine_only(test) -> None:
    """A cine goes into the scene and has its times; needs numpy only."""
    import numpy as np
    import slicer

    from T1DiffLogic import Cine, SliceGeometry

    logic = slicer.util.getModuleLogic("T1Diff")
    geometries = [
        SliceGeometry([0, 0, 8.0 * s], [1, 0, 0], [0, 1, 0], (1.5, 1.5), (16, 20)) for s in range(3)
    ]
    images = np.arange(3 * 4 * 16 * 20, dtype=np.float32).reshape(3, 4, 16, 20)
    times = np.tile([0.0, 200.0, 400.0, 600.0], (3, 1))
    logic.setCine(Cine(images, tuple(geometries), times))
    sequence = logic.addCineToScene()["cine"]
    test.assertEqual(sequence.GetNumberOfDataNodes(), 4)
    test.assertAlmostEqual(float(sequence.GetNthIndexValue(1)), 200.0)
    first = slicer.util.arrayFromVolume(sequence.GetNthDataNode(0))
    test.assertTrue(np.array_equal(first, images[:, 0]))
    slicer.mrmlScene.Clear()
    logic.clear()


def console(test) -> None:
    """The whole way of one digital patient, line by line as README shows it."""
    import slicer

    from .sample_data import digital_patient_folder

    logic = slicer.util.getModuleLogic("T1Diff")
    cine = logic.loadCine(digital_patient_folder(slicer.app.cachePath))
    anatomy = logic.segment()
    test.assertNotEqual(anatomy.phases.ed, anatomy.phases.es)
    logic.setPhases(anatomy.phases.ed, anatomy.phases.es)
    synthesis = logic.synthesize(samples=2, steps=4, seed=1)
    test.assertEqual(synthesis.t1_ms.shape, (cine.n_slices, *cine.images.shape[2:]))
    mean = logic.statistics()["global"]["mean_ms"]
    test.assertTrue(800 < mean < 1900, f"global T1 {mean} ms")
    nodes = logic.addToScene()
    shown = slicer.util.arrayFromVolume(nodes["t1"])
    test.assertAlmostEqual(float(shown.max()), float(synthesis.t1_ms.max()), places=2)
    slicer.mrmlScene.Clear()
    logic.clear()
