"""A scene file written outside the Slicer application that asks for it, by its PythonSlicer.

A second scene in the application knows none of the modules' nodes, and writing a scene with a part
missing can end the process: there, with all that the user has open.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from ..errors import StudyError
from .python_slicer import environment_of_children

_SECONDS = 600


def save_outside(synthesis, path: Path, statistics: dict | None) -> None:
    """Write what `save_scene` writes, in a process of its own. StudyError when that fails."""
    from ..study_files import plain_value, write_synthesis

    with tempfile.TemporaryDirectory() as folder:
        record, numbers = Path(folder) / "study.synthesis.npz", Path(folder) / "statistics.json"
        write_synthesis(synthesis, record)
        numbers.write_text(json.dumps(statistics, default=plain_value), encoding="utf-8")
        command = [sys.executable, "-m", __name__, str(record), str(numbers), str(path)]
        try:
            done = subprocess.run(
                command, env=environment_of_children(), capture_output=True, text=True, errors="replace",
                timeout=_SECONDS, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise StudyError(
                f"{path} could not be written, as PythonSlicer did not run ({type(error).__name__}); "
                "put the result into the open scene with addToScene and save that."
            ) from error
    if done.returncode or not path.is_file():
        said = next((s for s in reversed(done.stderr.splitlines()) if s.strip()), "PythonSlicer failed")
        raise StudyError(
            f"{path} could not be written by PythonSlicer ({said.strip().rstrip('.')}); "
            "put the result into the open scene with addToScene and save that."
        )


def _main(record: str, numbers: str, path: str) -> int:
    from ..study_files import read_synthesis
    from . import save_scene

    try:
        save_scene(read_synthesis(record), path, json.loads(Path(numbers).read_text(encoding="utf-8")))
    except StudyError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
