"""Kills at random moments: what is there is complete or says that it is not; the next run ends the same."""

import json
import random
import shutil
import signal
from pathlib import Path

import pytest
from base_studies import PEOPLE

from T1DiffLogic.phantom.dicom_writer import write_cine
from T1DiffLogic.phantom.draws import patient_seed
from T1DiffLogic.phantom.patient import digital_patient
from T1DiffLogic.study import Cine

QUICK = ("--samples", "1", "--steps", "1", "--seed", "5", "--device", "cpu", "--progress", "none")
PHASES, MARGIN = 4, 68
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
START_S = 6.0
KILLS_AT_FULL_SCALE = {"batch": 40, "batch with worker processes": 6, "synthesize": 12}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Path:
    """Two studies: three slices of one digital patient, and two of them again as another's."""
    folder = tmp_path_factory.mktemp("cohort")
    full = digital_patient(patient_seed("test", 42), phases=8, infarcted=True).cine
    middle = full.n_slices // 2
    for name, keep in (("one", slice(middle - 1, middle + 2)), ("two", slice(middle - 1, middle + 1))):
        cine = _smaller(full, keep)
        write_cine(
            cine, folder / name, "ge", seed=len(name) + cine.n_slices, patient=PEOPLE[0].number, extras=False
        )
    return folder


def _smaller(full: Cine, keep: slice) -> Cine:
    """Every other phase, and the middle of the images alone."""
    from dataclasses import replace

    inner = slice(MARGIN, -MARGIN)
    images = full.images[keep, :: 8 // PHASES, inner, inner]
    geometries = tuple(
        replace(g, origin=g.to_patient([MARGIN, MARGIN]), shape=images.shape[2:])
        for g in full.geometries[keep]
    )
    return Cine(images, geometries, full.trigger_ms[keep, :: 8 // PHASES])


@pytest.fixture(scope="module")
def unkilled(cohort, tmp_path_factory, launcher):
    """({study: bytes of t1_map.nrrd}, CPU seconds of a whole batch, of one synthesize)."""
    folder = tmp_path_factory.mktemp("unkilled")
    batch = launcher.run(["batch", cohort, "-o", folder / "out", "--workers", "0", *QUICK], folder / "log")
    assert batch.code == 0, batch.said
    single = launcher.run(["synthesize", cohort / "one", "-o", folder / "one", *QUICK], folder / "log")
    assert single.code == 0, single.said
    maps = _maps(folder / "out")
    assert len(maps) == 2
    (of_batch,) = (content for name, content in maps.items() if name.startswith("one"))
    # two processes and two commands, one map
    assert of_batch == (folder / "one" / "t1_map.nrrd").read_bytes()
    return maps, batch.cpu_s, single.cpu_s


def _maps(output: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in output.glob("*/t1_map.nrrd")}


def _half_written(folder: Path, reference: bytes) -> list[str]:
    """What is wrong with the folder of a study; one without result.json says itself that it is not done."""
    if not (folder / "result.json").exists():
        return []
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    missing = [f for f in result["files"].values() if not (folder / f).is_file()]
    wrong = [f"{folder.name} lacks {missing}"] if missing else []
    if (folder / "t1_map.nrrd").read_bytes() != reference:
        wrong.append(f"{folder.name} has another map")
    return wrong


def _answer(ended, killed_with) -> list[str]:
    """What is wrong with how a process ended that was, perhaps, killed."""
    wrong = ["it hung"] if ended.hung else []
    if "Traceback" in ended.said or "unexpected" in ended.said:
        wrong.append(f"it said {ended.said[-400:]}")
    # done before the kill, killed, or stopped in good order
    if ended.code not in (0, 1, -killed_with) or (ended.code == 1 and "stopped on request" not in ended.said):
        wrong.append(f"it ended with {ended.code}: {ended.said[-200:]}")
    return wrong


@pytest.mark.parametrize("how", KILLS_AT_FULL_SCALE)
def test_a_kill_at_any_moment_leaves_nothing_half_written(
    how, cohort, unkilled, tmp_path, launcher, scale, seed, count
):
    maps, batch_s, single_s = unkilled
    kills = max(1, round(KILLS_AT_FULL_SCALE[how] * min(1.0, scale / 10_000)))
    rng, output = random.Random(f"{seed} {how}"), tmp_path / "out"
    if how == "synthesize":
        argv, longest, folders = (
            ["synthesize", cohort / "one", "-o", output / "one", *QUICK],
            single_s,
            ["one"],
        )
        reference = {"one": next(content for name, content in maps.items() if name.startswith("one"))}
    else:
        workers = "0" if how == "batch" else "1"
        argv = ["batch", cohort, "-o", output, "--workers", workers, *QUICK]
        # a worker process imports everything anew before it works
        longest = 1.1 * batch_s if workers == "0" else batch_s + START_S
        folders, reference = list(maps), maps
    tally, wrong, completed = {"killed": 0, "ended before": 0}, [], 0
    for _ in range(kills):
        chosen = rng.choice(SIGNALS)
        ended = launcher.run(argv, tmp_path / "log", rng.uniform(0, longest), chosen)
        tally["ended before" if ended.code == 0 else "killed"] += 1
        wrong += _answer(ended, chosen)
        for name in folders:
            wrong += _half_written(output / name, reference[name])
        if all((output / name / "result.json").exists() for name in folders):
            completed += 1
            shutil.rmtree(output / rng.choice(folders))
    assert not wrong, wrong
    ended = launcher.run(argv, tmp_path / "log")
    assert ended.code == 0, ended.said
    for name in folders:
        assert (output / name / "t1_map.nrrd").read_bytes() == reference[name]
        left = [p.name for p in (output / name).iterdir() if p.name.startswith(".")]
        assert not left, left
    if how != "synthesize":
        summary = (output / "summary.csv").read_text(encoding="utf-8")
        assert summary.count(",ok,") == len(folders), summary
    count(f"{how}: {kills} signals, {tally['killed']} ended by one, {tally['ended before']} done before it; "
          f"completed in between {completed} times; maps of the last run the same bytes")  # fmt: skip
