"""Where T1DiffLogic, Resources and a Python interpreter lie: in the source tree and when installed.

Source tree: T1DiffLogic and Resources lie beside T1DiffExtension, one level above this module folder.
Installed: everything lies in Slicer's qt-scripted-modules, which is on sys.path already.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

MODULE_FOLDER = Path(__file__).resolve().parents[1]
"""The folder that Slicer scans: T1Diff.py lies in it."""


def package_parent() -> Path:
    """The folder that holds T1DiffLogic, Resources and pyproject.toml."""
    for folder in (MODULE_FOLDER, MODULE_FOLDER.parent):
        if (folder / "T1DiffLogic" / "__init__.py").is_file():
            return folder
    raise ImportError(f"T1DiffLogic lies neither in {MODULE_FOLDER} nor above it; install T1Diff again.")


def make_importable() -> None:
    """Put T1DiffLogic on sys.path.

    Ahead of site-packages: an older t1diff that was once installed with pip must not win. The
    folder holds no other package, so nothing of Slicer's can be shadowed by it.
    """
    folder = str(package_parent())
    if folder not in sys.path:
        sys.path.insert(0, folder)


def resource(name: str) -> str:
    """The path of Resources/`name`, in whichever tree this is; of the first candidate when absent."""
    candidates = [folder / "Resources" / name for folder in (MODULE_FOLDER, MODULE_FOLDER.parent)]
    return str(next((path for path in candidates if path.exists()), candidates[0]))


def pyproject() -> Path:
    """pyproject.toml, the one list of dependencies."""
    return package_parent() / "pyproject.toml"


def python_executable() -> str:
    """The interpreter for child processes: PythonSlicer inside Slicer, else the running one.

    sys.executable names PythonSlicer in the application; where a build leaves the application's own
    name there, running it would open a second Slicer.
    """
    if "python" in Path(sys.executable or "").name.lower():
        return sys.executable
    found = shutil.which("PythonSlicer")
    if found is None:
        raise FileNotFoundError("PythonSlicer is not on the PATH; start Slicer with its own launcher.")
    return found


def child_environment(base: dict | None = None) -> dict[str, str]:
    """The environment of a child process that runs `python -m T1DiffLogic`: `base` or this process's."""
    environment = dict(os.environ if base is None else base)
    known = [part for part in environment.get("PYTHONPATH", "").split(os.pathsep) if part]
    folder = str(package_parent())
    environment["PYTHONPATH"] = os.pathsep.join([folder, *(part for part in known if part != folder)])
    environment["PYTHONUNBUFFERED"] = "1"  # progress is read line by line while it runs
    environment["PYTHONIOENCODING"] = "utf-8"
    return environment
