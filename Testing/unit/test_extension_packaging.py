"""What Slicer's build would install is what the module needs: CMake itself is asked."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STAND_INS = Path(__file__).with_name("slicer_build")
CMAKE = shutil.which("cmake")
needs_cmake = pytest.mark.skipif(CMAKE is None, reason="cmake is not installed")


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """The folder that CMake configured the extension in."""
    folder = tmp_path_factory.mktemp("build")
    command = [CMAKE, "-S", ROOT, "-B", folder, f"-DSlicer_DIR={STAND_INS}", "-DBUILD_TESTING=ON"]
    # nothing is compiled, so no compiler has to be tried out, or even be there
    for language in ("C", "CXX"):
        command += [f"-DCMAKE_{language}_COMPILER={sys.executable}", f"-DCMAKE_{language}_COMPILER_FORCED=1"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def lines(path):
    return path.read_text(encoding="utf-8").split()


def needed():
    """Everything that must be in the packaged extension, by its place beside T1Diff.py."""
    extension = ROOT / "T1DiffExtension"
    files = {p.relative_to(extension).as_posix() for p in extension.rglob("*.py")}
    files |= {p.relative_to(ROOT).as_posix() for p in (ROOT / "T1DiffLogic").rglob("*.py")}
    resources = ROOT / "Resources"
    for pattern in ("UI/*", "Icons/*", "Configs/*", "Models/*/config.json", "Models/*/model.safetensors"):
        files |= {p.relative_to(ROOT).as_posix() for p in resources.glob(pattern)}
    return files | {"pyproject.toml"}


@needs_cmake
def test_the_packaged_extension_is_complete_and_holds_nothing_else(build):
    entries = [line.split("|") for line in (build / "installed.txt").read_text("utf-8").splitlines()]
    places = [place for _, place in entries]
    assert len(places) == len(set(places)), "a file is installed twice"
    assert not [place for place in places if place.startswith("..")]
    assert set(places) == needed()
    assert all(Path(source).is_file() for source, _ in entries)


@needs_cmake
def test_an_installed_tree_finds_its_parts(build, tmp_path):
    """The file list is laid out as Slicer would, and the package looks for its own parts in it."""
    for line in (build / "installed.txt").read_text("utf-8").splitlines():
        source, place = line.split("|")
        target = tmp_path / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source) if source.endswith(".safetensors") else shutil.copy(source, target)
    code = (
        "import sys; sys.path.append(sys.argv[1])\n"
        "from pathlib import Path\n"
        "import T1DiffLib\n"
        "from T1DiffLib import paths, dependencies\n"
        "from T1DiffLogic.resources import installed_segmenter, model_folder\n"
        "home = Path(sys.argv[1]).resolve()\n"
        "assert paths.package_parent() == home, paths.package_parent()\n"
        "assert Path(paths.resource('Icons/T1Diff.png')).is_file()\n"
        "assert Path(paths.resource('UI/T1Diff.ui')).is_file()\n"
        "assert model_folder('fast').is_relative_to(home) and installed_segmenter().is_relative_to(home)\n"
        "assert ('torch', '2.3') in dependencies.requirements()\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(tmp_path)], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr


@needs_cmake
def test_every_in_app_test_is_registered(build):
    registered = {Path(line).name for line in lines(build / "tests.txt")}
    assert registered == {p.name for p in (ROOT / "Testing" / "slicer").glob("*.py")} | {"T1Diff.py"}


def test_nothing_but_modules_lies_in_the_folder_that_slicer_scans():
    """Slicer takes every *.py there for a module; one without its class stops a headless start for good."""
    for path in (ROOT / "T1DiffExtension").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert re.search(rf"^class {path.stem}\b", text, re.M), f"{path.name} is no module"
        assert not re.search(r"^class T1DiffLogic\b", text, re.M), "would hide the package T1DiffLogic"
    assert len((ROOT / "T1DiffExtension" / "T1Diff.py").read_text("utf-8").splitlines()) < 100


def test_the_catalogue_entry_fits_the_extension():
    entry = json.loads((ROOT / "T1Diff.json").read_text(encoding="utf-8"))
    cmake = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    assert re.search(r"^project\((\w+)\)", cmake, re.M)[1] == "T1Diff"
    assert set(entry) == {"$schema", "build_dependencies", "category", "scm_revision", "scm_url", "tier"}
    assert entry["$schema"].endswith("slicer-extension-catalog-entry-schema-v1.0.2.json#")
    # the index builds what an extension depends on first, so that it is there at run time
    assert entry["build_dependencies"] == re.search(r'EXTENSION_DEPENDS "(.*?)"', cmake)[1].split()
    assert entry["category"] == re.search(r'EXTENSION_CATEGORY "(.*?)"', cmake)[1]
    url = re.search(r'set\(T1Diff_URL "(.*?)"\)', cmake)[1]
    assert entry["scm_url"].removesuffix(".git") == url and entry["tier"] in range(1, 6)
    for name in re.findall(r"raw/main/([^\s\"]+)", cmake):
        assert (ROOT / name).is_file(), f"{name} is announced but not there"


def test_the_licence_is_permissive_and_stands_in_the_root():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text and "Version 2.0" in text


def test_text_files_have_unix_line_endings():
    for pattern in ("*.py", "*.ui", "*.json", "*.txt", "*.toml", "*.cmake"):
        for folder in ("T1DiffExtension", "T1DiffLogic", "Resources", "Testing"):
            for path in (ROOT / folder).rglob(pattern):
                assert b"\r\n" not in path.read_bytes(), path.relative_to(ROOT)
