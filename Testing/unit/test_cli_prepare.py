"""`t1diff prepare`: what it says of the patients that it found, before and after they are prepared."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from T1DiffLogic.cli import main
from T1DiffLogic.dataset import cohort, preparing
from T1DiffLogic.dataset.cohort import CohortSource, Found, ReconSource


def sources(kind, count):
    if kind == "own":
        made = [CohortSource.__new__(CohortSource) for _ in range(count)]
    else:
        made = [ReconSource(None, None, "") for _ in range(count)]
    return [Found(f"patient-{i:03d}", source, f"id {i}", ()) for i, source in enumerate(made)]


@pytest.fixture
def told(monkeypatch):
    """Runs the command on `count` patients that nobody prepares: (exit code, description of the dataset)."""

    def run(kind, count, folder: Path):
        (folder / "cohort").mkdir()
        seen = {}

        def prepare(patients, output, options, description, *rest):
            seen.update(description)
            return SimpleNamespace(done=len(patients), patients=len(patients), pairs=3, excluded=0)

        monkeypatch.setattr(cohort, "find_patients", lambda *_: (sources(kind, count), []))
        monkeypatch.setattr(preparing, "prepare_patients", prepare)
        code = main(["prepare", str(folder / "cohort"), "-o", str(folder / "out"), "--workers", "1"])
        return code, seen

    return run


@pytest.mark.parametrize(("kind", "origin"), [("own", "own scans"), ("recon", "CMRxRecon")])
def test_the_dataset_says_whose_scans_it_holds(kind, origin, told, tmp_path):
    code, description = told(kind, 4, tmp_path)
    assert code == 0 and description["origin"] == origin


def test_a_split_without_patients_is_told(told, tmp_path, capsys):
    assert told("own", 1, tmp_path)[0] == 0
    said = capsys.readouterr()
    assert (said.out + said.err).count("no patient is in the split") == 2


def test_enough_patients_leave_no_split_empty(told, tmp_path, capsys):
    assert told("own", 200, tmp_path)[0] == 0
    said = capsys.readouterr()
    assert "no patient is in the split" not in said.out + said.err
