"""Mutated studies through the readers: a sane study or one sentence, never anything else."""

import json
import logging
import os
import warnings
from collections import Counter

import readers
from base_studies import base_studies

BLOCK = 200
KEPT_FAILURES = 20


def test_no_mutation_breaks_a_reader(tmp_path, scale, seed, count):
    lines = fed(tmp_path, seed, scale)
    assert len(lines) == scale
    kinds = Counter(line["kind"] for line in lines)
    for reader in readers.READERS:
        outcomes = Counter(line["outcome"] for line in lines if line["reader"] == reader)
        count(f"{reader:<12} {sum(outcomes.values()):>6} fed, {outcomes['refused']:>6} refused, "
              f"{outcomes['read']:>6} read and sane")  # fmt: skip
    count(f"kinds: {', '.join(f'{n} {kind}' for kind, n in sorted(kinds.items()))}; "
          f"{sum(bool(line['traps']) for line in lines)} with links, pipes or the like beside")  # fmt: skip
    failures = [line for line in lines if line["wrong"]]
    count(f"readers: {len(lines)} fed, {len(failures)} went wrong")
    assert not failures, json.dumps(failures[:KEPT_FAILURES], indent=1)
    # a suite whose studies are all refused, or all sound, tests nothing
    assert all(0.1 < sum(line["outcome"] == o for line in lines) / scale for o in ("read", "refused"))


def fed(tmp_path, seed: int, total: int) -> list[dict]:
    """Verdicts on all cases, TORTURE_JOBS shares of them side by side."""
    bases, jobs = base_studies(), int(os.environ.get("TORTURE_JOBS", "1"))
    bounds = [total * job // jobs for job in range(jobs + 1)]
    shares = []
    for job in range(jobs):
        if (pid := os.fork()) == 0:
            try:
                feed_share(bases, tmp_path, seed, bounds[job], bounds[job + 1])
            finally:
                os._exit(0)
        shares.append(pid)
    for pid in shares:
        os.waitpid(pid, 0)
    texts = (path.read_text(encoding="utf-8") for path in sorted(tmp_path.glob("told_*")))
    return [json.loads(line) for text in texts for line in text.splitlines()]


def feed_share(bases: dict, tmp_path, seed: int, start: int, end: int) -> None:
    """Cases `start` to `end`; a block of them in a process each, gone on with after a crash or a hang."""
    told = tmp_path / f"told_{start:07d}.jsonl"
    done = start
    while done < end:
        first = done
        block = min(BLOCK, end - first)
        pid = os.fork()
        if pid == 0:
            try:
                # what the command line does about libraries, too
                warnings.simplefilter("ignore")
                logging.disable(logging.CRITICAL)
                readers.feed(bases, seed, first, block, tmp_path, told)
            finally:
                os._exit(0)
        _, status = os.waitpid(pid, 0)
        done = start + (len(told.read_text(encoding="utf-8").splitlines()) if told.exists() else 0)
        if done < first + block:
            ended = f"its process ended ({os.waitstatus_to_exitcode(status)})"
            dead = {
                "number": done,
                "kind": "?",
                "reader": "?",
                "outcome": "died",
                "traps": [],
                "wrong": [ended],
            }
            with told.open("a", encoding="utf-8") as file:
                print(json.dumps(dead), file=file)
            done += 1
