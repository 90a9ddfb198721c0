"""Files kept in the scene: whole after a saved scene, refused when damaged or leading elsewhere."""

from __future__ import annotations

import base64
import io
import sys
import zipfile
from pathlib import Path

import pytest

slicer = pytest.importorskip("slicer", reason="needs slicer-core")
sys.path.insert(0, str(Path(__file__).parents[2] / "T1DiffExtension"))

from T1DiffLib.kept_files import files_of, keep, kept, unpack  # noqa: E402

from T1DiffLogic.errors import StudyError  # noqa: E402

FILES = {"a.bin": bytes(range(256)) * 500, "slices/b.txt": "µ ms".encode()}


def node_with(text):
    scene = slicer.vtkMRMLScene()
    node = scene.AddNewNodeByClass("vtkMRMLTextNode", "kept")
    node.SetText(text)
    return scene, node


def packed(name, content=b"x"):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, content)
    return base64.b64encode(file.getvalue()).decode()


def test_files_come_back_from_a_saved_scene(tmp_path):
    scene = slicer.vtkMRMLScene()
    keep(scene, "T1Diff files", FILES)
    storage = scene.GetFirstNodeByClass("vtkMRMLTextNode").CreateDefaultStorageNode()
    storage.SetScene(scene)
    path = str(tmp_path / "files.txt")
    storage.SetFileName(path)
    assert storage.WriteData(scene.GetFirstNodeByClass("vtkMRMLTextNode"))
    other = slicer.vtkMRMLScene().AddNewNodeByClass("vtkMRMLTextNode", "again")
    assert storage.ReadData(other)
    assert kept(other) == FILES
    unpack(kept(other), tmp_path / "out")
    assert files_of(tmp_path / "out") == FILES
    assert files_of(tmp_path / "out", without=("slices",)) == {"a.bin": FILES["a.bin"]}


def test_damage_inside_the_packed_content_is_one_sentence():
    scene = slicer.vtkMRMLScene()
    node = keep(scene, "kept", {"a.bin": bytes(range(256)) * 500})
    packed_bytes = bytearray(base64.b64decode(node.GetText()))
    packed_bytes[40:60] = b"\xff" * 20
    node.SetText(base64.b64encode(bytes(packed_bytes)).decode())
    with pytest.raises(StudyError, match="'kept' is damaged"):
        kept(node)


@pytest.mark.parametrize("name", ["../outside.txt", "/outside.txt", "a/../../outside.txt", "c:\\outside.txt"])
def test_a_name_that_leads_elsewhere_is_refused(name):
    scene, node = node_with(packed(name))
    with pytest.raises(StudyError, match="damaged"):
        kept(node)


@pytest.mark.parametrize(
    "text", ["", "no base64 §", base64.b64encode(b"no archive").decode(), packed("a")[:-40]]
)
def test_damage_is_one_sentence(text):
    scene, node = node_with(text)
    with pytest.raises(StudyError, match="'kept' is damaged"):
        kept(node)
