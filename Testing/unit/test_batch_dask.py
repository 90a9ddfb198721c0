"""A batch on real worker processes: crashes, Ctrl-C, kills, and a Dask scheduler with two workers."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import batch_cases
import pytest
from batch_cases import begun, cohort_of, paint

from T1DiffLogic.batch import pools, session
from T1DiffLogic.batch.run import BatchOptions, run_batch
from T1DiffLogic.errors import StudyError
from T1DiffLogic.progress import Reporter

psutil = pytest.importorskip("psutil", reason="the batch extra is not installed")
pytest.importorskip("distributed", reason="the batch extra is not installed")

ROOT = Path(__file__).parents[2]
ENV = os.environ | {
    "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent)]),
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1",
}
PATIENCE_S = 120


def rows(output: Path) -> dict[str, dict]:
    with (output / "summary.csv").open(newline="", encoding="utf-8") as file:
        return {row["source"]: row for row in csv.DictReader(file)}


def wait_for(condition, what: str):
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(f"{what} did not happen within {PATIENCE_S} s")


def whole(output: Path) -> bool:
    """No half-written study: each folder has a result.json and what it lists, or no file of a study."""
    for folder in output.iterdir():
        if not folder.is_dir() or folder.name.startswith("."):
            continue
        names = {p.name for p in folder.iterdir()}
        listed = set()
        if "result.json" in names:
            listed = set(json.loads((folder / "result.json").read_text())["files"].values())
        if names - {"batch.json"} != listed:
            return False
    return True


def heed_interrupts():
    """What a shell starts in the background ignores Ctrl-C, and so would all that these tests start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def started(tmp_path):
    """start(*argv): a program as a process group of its own, as a shell would start it."""
    processes = []

    def start(*argv):
        process = subprocess.Popen(
            argv,
            env=ENV,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=heed_interrupts,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        process.stdout.close()


def program(tmp_path, who: str) -> list[str]:
    return [sys.executable, batch_cases.__file__, str(tmp_path / "cohort"), str(tmp_path / "out"), who]


def test_a_crash_of_one_worker_costs_one_study(tmp_path):
    cohort_of(tmp_path / "cohort", "bad_1", "crash_1", "one", "three", "two")
    me = psutil.Process()
    result = run_batch(
        tmp_path / "cohort", tmp_path / "out", {"seed": 4}, BatchOptions(workers=2), Reporter("none"), paint
    )
    assert (result.total, result.ok, result.failed, result.waiting) == (5, 3, 2, 0)
    table = rows(tmp_path / "out")
    assert "the process that worked on it ended" in table["crash_1"]["reason"]
    assert {table[name]["status"] for name in ("one", "two", "three")} == {"ok"}
    tried = begun(tmp_path / "out")
    assert tried.count("crash_1") == pools.ATTEMPTS
    # once more only where the crash took the answer of a finished study with it, before it was fetched
    assert all(1 <= tried.count(name) <= pools.ATTEMPTS for name in ("one", "two", "three"))
    assert whole(tmp_path / "out")
    left = [p for p in me.children(recursive=True) if "resource_tracker" not in " ".join(p.cmdline())]
    assert not left


def test_ctrl_c_ends_in_good_order(tmp_path, started):
    cohort_of(tmp_path / "cohort", "one", "slow_1", "slow_2", "slow_3")
    process = started(*program(tmp_path, "2"))
    wait_for(lambda: {"one", "slow_1", "slow_2"} <= set(begun(tmp_path / "out")), "the work")
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) >= 2
    # a terminal sends it to the whole group, workers and all
    os.killpg(process.pid, signal.SIGINT)
    asked = time.monotonic()
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert time.monotonic() - asked < session.STOP_WITHIN_S, "the studies were killed, not stopped"
    assert process.returncode == 130 and "Traceback" not in output
    assert {k: r["status"] for k, r in rows(tmp_path / "out").items()} == {
        "one": "ok", "slow_1": "waiting", "slow_2": "waiting", "slow_3": "waiting",
    }  # fmt: skip
    assert whole(tmp_path / "out")
    psutil.wait_procs(family, timeout=10)
    assert not any(p.is_running() for p in family)
    assert "slow_3" not in begun(tmp_path / "out")


def test_after_a_kill_only_what_is_missing_is_done(tmp_path, started):
    names = [f"quick_{i:02d}" for i in range(6)] + ["slow_1", "slow_2"]
    cohort_of(tmp_path / "cohort", *names)
    process = started(*program(tmp_path, "2"))
    wait_for(lambda: {"slow_1", "slow_2"} <= set(begun(tmp_path / "out")), "the work")
    family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive, "worker processes outlive the batch"
    before = begun(tmp_path / "out")
    assert sorted(before) == sorted(names)
    assert len(list((tmp_path / "out").glob("slow_*/.t1diff-*"))) == 2, "nothing was left half-written"
    (tmp_path / "hasten").touch()
    result = run_batch(
        tmp_path / "cohort", tmp_path / "out", {}, BatchOptions(workers=0), Reporter("none"), paint
    )
    assert (result.ok, result.kept, result.total) == (8, 6, 8)
    assert sorted(begun(tmp_path / "out")[len(before) :]) == ["slow_1", "slow_2"]
    assert whole(tmp_path / "out")


def test_a_real_scheduler_with_two_workers_on_loopback(tmp_path, started):
    names = [f"study_{i}" for i in range(5)] + ["bad_1", "slow_1"]
    cohort_of(tmp_path / "cohort", *names)
    dask = (sys.executable, "-m", "dask")
    scheduler = started(*dask, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
    address = None
    for line in scheduler.stdout:
        if found := re.search(r"Scheduler at:\s+(tcp://127\.0\.0\.1:\d+)", line):
            address = found[1]
            break
    assert address
    argv = ("--host", "127.0.0.1", "--nthreads", "1", "--no-dashboard", "--no-nanny", "--death-timeout", "60")
    workers = [started(*dask, "worker", address, *argv) for _ in range(2)]
    process = started(*program(tmp_path, address))
    wait_for(lambda: "slow_1" in begun(tmp_path / "out"), "the work")
    # the machine that works on the slow study goes away; the other one takes it over
    wait_for(lambda: len(set(begun(tmp_path / "out"))) == len(names), "the rest")
    (pid,) = {int(p) for p in (tmp_path / "slow_1.pid").read_text().split()}
    assert pid in {w.pid for w in workers}
    (tmp_path / "hasten").touch()
    os.kill(pid, signal.SIGKILL)
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1, output
    table = rows(tmp_path / "out")
    assert {k for k, row in table.items() if row["status"] == "ok"} == set(names) - {"bad_1"}
    assert table["bad_1"]["reason"].startswith("the cine is not what it should be")
    assert begun(tmp_path / "out").count("slow_1") == 2 and whole(tmp_path / "out")
    assert scheduler.poll() is None, "the batch ends only what it started"

    # a scheduler that goes away ends the batch with a sentence, and no study is lost
    cohort_of(tmp_path / "cohort", "slow_2")
    (tmp_path / "hasten").unlink()
    process = started(*program(tmp_path, address))
    wait_for(lambda: "slow_2" in begun(tmp_path / "out"), "the work")
    scheduler.kill()
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert "the connection to the Dask scheduler was lost" in output
    assert rows(tmp_path / "out")["slow_2"]["status"] == "waiting"


def test_nobody_at_the_address_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(pools, "CONNECT_S", 1.0)
    cohort_of(tmp_path / "cohort", "one")
    for address in ("tcp://127.0.0.1:9", "nonsense"):
        with pytest.raises(StudyError, match="no Dask scheduler answers"):
            run_batch(
                tmp_path / "cohort",
                tmp_path / "out",
                {},
                BatchOptions(scheduler=address),
                Reporter("none"),
                paint,
            )


def test_workers_must_see_both_folders(tmp_path):
    probe = tmp_path / "out" / "work" / "probe"
    assert "does not see" in pools.fitness(str(tmp_path / "cohort"), str(probe))
    (tmp_path / "cohort").mkdir()
    assert str(tmp_path / "out") in pools.fitness(str(tmp_path / "cohort"), str(probe))
    probe.parent.mkdir(parents=True)
    probe.touch()
    assert pools.fitness(str(tmp_path / "cohort"), str(probe)) == ""


def test_each_local_worker_sees_one_gpu():
    pool = pools.local_pool(2, paint, ["5", "7"])
    try:
        pool.client.wait_for_workers(2, timeout=PATIENCE_S)
        seen = pool.client.run(os.getenv, "CUDA_VISIBLE_DEVICES")
    finally:
        pool.close()
    assert sorted(seen.values()) == ["5", "7"]


def test_workers_of_one_machine_take_its_gpus_in_turn():
    addresses = ["tcp://10.0.0.1:2", "tcp://10.0.0.1:1", "tcp://10.0.0.2:7"]
    assert pools._ordinals(addresses) == {addresses[1]: 0, addresses[0]: 1, addresses[2]: 0}
