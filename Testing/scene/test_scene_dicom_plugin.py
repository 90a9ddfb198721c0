"""The DICOM plugin on real MRML: a database and the base classes of Slicer's DICOM module stand in."""

import importlib.util
import sys
import types
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_cases import smooth_cine, t1_slices

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")

import extension_path  # noqa: E402

from T1DiffLogic.dicom.cine import read_cine  # noqa: E402
from T1DiffLogic.phantom.dicom_writer import write_cine, write_t1_map  # noqa: E402
from T1DiffLogic.study import stack_is_uniform  # noqa: E402


class Loadable:
    """DICOMLib.DICOMLoadable."""

    def __init__(self):
        self.files, self.name, self.tooltip, self.warning = [], "Unknown", "", ""
        self.selected, self.confidence = False, 0.5


class Plugin:
    """What DICOMLib.DICOMPlugin offers to its heirs."""

    def __init__(self):
        self.loadType = "Generic DICOM"
        self.tags = {"sopClassUID": "0008,0016"}
        self.cache, self.hierarchy = {}, []

    def getCachedLoadables(self, files):
        return self.cache.get(tuple(files))

    def cacheLoadables(self, files, loadables):
        self.cache[tuple(files)] = loadables

    def addSeriesInSubjectHierarchy(self, loadable, node):
        assert node.IsA("vtkMRMLVolumeNode") and loadable.files
        self.hierarchy.append(node.GetID())


class Database:
    def __init__(self):
        self.asked = 0

    def fileValue(self, path, tag):
        self.asked += 1
        group, element = (int(part, 16) for part in tag.split(","))
        value = pydicom.dcmread(path, stop_before_pixels=True).get((group, element))
        return "" if value is None else str(value.value)

    def instanceForFile(self, path):
        return str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)


@pytest.fixture
def plugin(monkeypatch):
    """An instance of the plugin class, in a new scene."""
    from T1DiffLogic.scene import headless_scene

    before = {name: getattr(slicer, name, None) for name in ("mrmlScene", "modules")}
    scene = headless_scene()
    application = slicer.modules.application_logics[0]
    monkeypatch.setattr(
        slicer, "app", types.SimpleNamespace(applicationLogic=lambda: application), raising=False
    )
    monkeypatch.setattr(slicer, "dicomDatabase", Database(), raising=False)
    slicer.modules.sequences.setToolBarActiveBrowserNode = lambda node: None
    library = types.ModuleType("DICOMLib")
    library.DICOMPlugin, library.DICOMLoadable = Plugin, Loadable
    translation = types.ModuleType("slicer.i18n")
    translation.tr = lambda text: text
    monkeypatch.setitem(sys.modules, "DICOMLib", library)
    monkeypatch.setitem(sys.modules, "slicer.i18n", translation)
    path = extension_path.EXTENSION / "DICOMT1DiffPlugin.py"
    spec = importlib.util.spec_from_file_location("DICOMT1DiffPlugin", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.DICOMT1DiffPlugin(types.SimpleNamespace())
    yield slicer.modules.dicomPlugins["DICOMT1DiffPlugin"]()
    scene.Clear(True)
    for name, value in before.items():
        setattr(slicer, name, value)


def by_series(folder):
    """File lists as the DICOM browser hands them out."""
    groups = {}
    for path in sorted(p for p in Path(folder).rglob("*") if p.is_file()):
        groups.setdefault(str(pydicom.dcmread(path).SeriesInstanceUID), []).append(str(path))
    return [tuple(files) for files in groups.values()]


def test_a_series_per_slice_becomes_one_sequence_loaded_once(plugin, tmp_path):
    write_cine(smooth_cine(positions=(0, 8, 16)), tmp_path, "siemens", extras=False)
    view, composite = (
        slicer.mrmlScene.AddNewNodeByClass(kind) for kind in ("vtkMRMLSliceNode", "vtkMRMLSliceCompositeNode")
    )
    view.SetLayoutName("Red")
    composite.SetLayoutName("Red")
    loadables = plugin.examineForImport(by_series(tmp_path))
    assert len(loadables) == 3 and all(one.selected and one.confidence > 1.05 for one in loadables)
    assert len({one.name for one in loadables}) == 2, "the first stands for the stack, the others say so"
    nodes = [plugin.load(one) for one in loadables]
    assert len({node.GetID() for node in nodes}) == 1
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSequenceNode") == 1
    assert plugin.hierarchy == [nodes[0].GetID()]
    from T1DiffLogic.scene import find_cines
    from T1DiffLogic.scene import read_cine as read_from_scene

    (found,) = find_cines(slicer.mrmlScene)
    loaded, whole = read_from_scene(found), read_cine(tmp_path)
    assert np.array_equal(loaded.images, whole.images)
    assert np.allclose(loaded.trigger_ms, whole.trigger_ms)
    for ours, theirs in zip(loaded.geometries, whole.geometries, strict=True):
        assert np.allclose(ours.to_patient([3, 5]), theirs.to_patient([3, 5]), atol=1e-3)
    selection = slicer.app.applicationLogic().GetSelectionNode()
    assert selection.GetActiveVolumeID() == nodes[0].GetID()
    through = [view.GetSliceToRAS().GetElement(row, 2) for row in range(3)]
    assert np.allclose(np.abs(through @ (whole.geometries[0].normal * [-1, -1, 1])), 1, atol=1e-3)


def test_loading_again_loads_again(plugin, tmp_path):
    write_cine(smooth_cine(positions=(0, 8, 16)), tmp_path, "siemens", extras=False)
    loadables = plugin.examineForImport(by_series(tmp_path))
    first = {plugin.load(one).GetID() for one in loadables}
    again = {plugin.load(one).GetID() for one in loadables}
    assert len(first) == len(again) == 1 and first != again
    slicer.mrmlScene.Clear(True)
    assert plugin.load(loadables[1]) is not None, "of a scene that was closed nothing is handed out"


def test_an_uneven_stack_is_loaded_and_shown_too(plugin, tmp_path):
    write_cine(smooth_cine(), tmp_path, "enhanced", extras=False)
    (loadable,) = plugin.examineForImport(by_series(tmp_path))
    assert plugin.load(loadable).GetImageData().GetDimensions()[2] > 1
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSequenceNode") >= 5


def test_examining_is_done_once_also_when_there_is_nothing(plugin, tmp_path, monkeypatch):
    """Slicer asks a second time whenever the first answer was empty."""
    write_cine(smooth_cine(positions=(0, 8, 16)), tmp_path, "ge")
    scouts = [files for files in by_series(tmp_path) if len(files) == 3]
    assert scouts and plugin.examineForImport(scouts) == []
    monkeypatch.setattr("T1DiffLogic.dicom.offers.find_images", None)
    assert plugin.examineForImport(scouts) == []


def test_other_modalities_are_not_read_at_all(plugin, tmp_path, monkeypatch):
    path = tmp_path / "ct.dcm"
    write_cine(smooth_cine(positions=(0,)), tmp_path / "mr", "ge", extras=False)
    dataset = pydicom.dcmread(by_series(tmp_path / "mr")[0][0])
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    dataset.save_as(path)
    monkeypatch.setattr("T1DiffLogic.dicom.offers.find_images", None)
    assert plugin.examineForImport([(str(path),)] * 500) == []
    assert slicer.dicomDatabase.asked == 500, "one look into the database for each series"


@pytest.mark.parametrize("positions", [(0, 8, 16), (0, 8, 21)])
def test_a_map_is_loaded_in_ms_where_it_was_measured(plugin, tmp_path, positions):
    t1 = t1_slices(positions)
    write_t1_map(t1, tmp_path, "philips")
    (loadable,) = plugin.examineForImport(by_series(tmp_path))
    assert loadable.confidence > 1.05
    volume = plugin.load(loadable)
    volumes = [slicer.mrmlScene.GetNodeByID(name) for name in plugin.hierarchy]
    assert volume in volumes
    assert len(volumes) == (1 if stack_is_uniform(t1.geometries) else 3)
    from T1DiffLogic.scene import t1_map_of

    loaded = t1_map_of(volumes)
    assert np.abs(loaded.values_ms - t1.values_ms).max() <= 0.25
    for ours, theirs in zip(loaded.geometries, t1.geometries, strict=True):
        assert np.allclose(ours.to_patient([3, 5]), theirs.to_patient([3, 5]), atol=1e-3)
    for node in volumes:
        assert node.GetVoxelValueUnits().GetCodeValue() == "ms"
        assert len(node.GetAttribute("DICOM.instanceUIDs").split()) == 3
        assert node.GetDisplayNode().GetWindowLevelMin() == 700


def test_a_map_is_loaded_before_the_colour_package_is_installed(plugin, tmp_path, monkeypatch):
    write_t1_map(t1_slices((0, 8, 16)), tmp_path, "ge")
    for name in [n for n in sys.modules if n.startswith(("cmcrameri", "T1DiffLogic.report"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cmcrameri", None)
    (loadable,) = plugin.examineForImport(by_series(tmp_path))
    volume = plugin.load(loadable)
    display = volume.GetDisplayNode()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (700, 2000)
    assert "cmcrameri" in volume.GetAttribute("T1Diff.Notes")
