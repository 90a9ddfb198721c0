"""In Slicer: the DICOM plugin on a real DICOM database, against the readers that come with Slicer."""

import tempfile
import unittest
from pathlib import Path

import slicer


class T1DiffDICOMTest(unittest.TestCase):
    def setUp(self):
        from T1DiffLib import dependencies

        report = dependencies.examine()
        if not report.ready:
            self.skipTest(f"the digital patient cannot be made: {report.sentence}")
        from DICOMLib import DICOMUtils
        from T1DiffLib.sample_data import digital_patient_folder

        slicer.mrmlScene.Clear()
        self.folder = digital_patient_folder(slicer.app.cachePath)
        database = tempfile.TemporaryDirectory()
        self.addCleanup(database.cleanup)
        original = DICOMUtils.openTemporaryDatabase(str(Path(database.name) / "db"))
        self.addCleanup(DICOMUtils.closeTemporaryDatabase, original)
        self.assertTrue(DICOMUtils.importDicom(str(self.folder)))

    def test_the_cine_is_preselected_once_and_loads_with_its_trigger_times(self):
        import numpy as np
        from DICOMLib import DICOMUtils

        from T1DiffLogic import load_cine
        from T1DiffLogic.scene import find_cines, read_cine

        files = [slicer.dicomDatabase.filesForSeries(uid) for uid in DICOMUtils.allSeriesUIDsInDatabase()]
        by_plugin, _ = DICOMUtils.getLoadablesFromFileLists([list(group) for group in files])
        DICOMUtils.selectHighestConfidenceLoadables(by_plugin)
        ours = next(p for p in by_plugin if type(p).__name__ == "DICOMT1DiffPluginClass")
        cine = [one for one in by_plugin[ours] if one.choice.offer.kind == "cine" and one.selected]
        self.assertTrue(cine, "the cine is not preselected")
        taken = {path for one in cine for path in one.files}
        others = [
            one
            for plugin, some in by_plugin.items()
            if plugin is not ours
            for one in some
            if one.selected and taken & set(one.files)
        ]
        self.assertFalse([one.name for one in others], "another reader is preselected for the same images")

        nodes = {ours.load(one).GetID() for one in cine}
        self.assertEqual(len(nodes), 1, "a stack is loaded once, however many series it has")
        wanted = load_cine(self.folder)
        loaded = read_cine(find_cines(slicer.mrmlScene)[0])
        self.assertTrue(np.array_equal(loaded.images, wanted.images))
        self.assertTrue(np.allclose(loaded.trigger_ms, wanted.trigger_ms))

    def test_the_native_map_is_in_ms(self):
        from DICOMLib import DICOMUtils

        files = [slicer.dicomDatabase.filesForSeries(uid) for uid in DICOMUtils.allSeriesUIDsInDatabase()]
        plugin = slicer.modules.dicomPlugins["DICOMT1DiffPlugin"]()
        maps = [
            one
            for one in plugin.examineForImport([list(group) for group in files])
            if one.choice.offer.kind == "T1 map"
        ]
        self.assertEqual(len(maps), 1)
        values = slicer.util.arrayFromVolume(plugin.load(maps[0]))
        self.assertTrue(900 < values[values > 0].mean() < 2000)
