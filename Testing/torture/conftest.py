"""Scale, seed and places of the torture; the helpers that lie beside it; the count at the end."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

SCALE = int(os.environ.get("TORTURE", "10000"))
SEED = int(os.environ.get("TORTURE_SEED", "1"))
COUNTS: list[str] = []


@pytest.fixture(scope="session")
def scale() -> int:
    """How many mutated studies are fed; the other parts are scaled along."""
    return SCALE


@pytest.fixture(scope="session")
def seed() -> int:
    return SEED


@pytest.fixture(scope="session")
def count():
    """count(line): a line of the summary."""
    return COUNTS.append


@pytest.fixture(scope="session")
def launcher():
    """Forks commands that have all imported; without slicer-core, so that no scene is written."""
    from launcher import Launcher

    started = Launcher(
        "-slicer", "T1DiffLogic.cli", "T1DiffLogic.whole_study", "T1DiffLogic.synthesis",
        "T1DiffLogic.outputs", "T1DiffLogic.loading", "T1DiffLogic.dicom.cine", "T1DiffLogic.dicom.t1map",
        "T1DiffLogic.batch.run",
        "T1DiffLogic.dicom_out.files", "highdicom",
    )  # fmt: skip
    yield started
    started.close()


def pytest_terminal_summary(terminalreporter):
    if COUNTS:
        terminalreporter.section(f"torture: seed {SEED}, scale {SCALE}")
        for line in COUNTS:
            terminalreporter.write_line(line)
