"""The readers under torture, each with its judge, and a block of cases fed to them."""

from __future__ import annotations

import faulthandler
import json
import random
import resource
import shutil
import sys
import time
import traceback
from pathlib import Path

import judging
from base_studies import FIRST, SECOND
from folder_mutations import KINDS, lay_out

from T1DiffLogic.batch.cohort import find_studies
from T1DiffLogic.dicom.inversion_search import find_inversion_series
from T1DiffLogic.dicom.molli import load_inversion_series
from T1DiffLogic.dicom.offers import offers_in
from T1DiffLogic.errors import StudyError
from T1DiffLogic.loading import load_cine, load_t1_map

CPU_S = 20
WALL_S = 300
MEMORY_BYTES = 3 * 2**29
"""What one process of a block may take beyond what it has when it begins."""


def _nothing(*_):
    return []


def _inversion(folder: Path):
    return [load_inversion_series(series) for series in find_inversion_series(folder)]


def _offers(folder: Path):
    return offers_in([path for path in sorted(folder.iterdir()) if path.is_file()])


READERS = {
    "cine": (load_cine, judging.cine, 10),
    "T1 map": (load_t1_map, judging.t1_map, 4),
    "cohort": (find_studies, judging.cohort, 3),
    "inversions": (_inversion, _nothing, 2),
    "offers": (_offers, _nothing, 1),
}


def feed(bases: dict, seed: int, first: int, count: int, work: Path, told: Path) -> None:
    """Cases `first` … of `seed`; a JSON line for each goes to `told` as soon as it is judged."""
    soft = _address_space() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (soft, soft))
    with told.open("a", encoding="utf-8") as file:
        for number in range(first, first + count):
            used = int(time.process_time())
            resource.setrlimit(resource.RLIMIT_CPU, (used + CPU_S, resource.RLIM_INFINITY))
            faulthandler.dump_traceback_later(WALL_S, exit=True)
            print(json.dumps(one(bases, seed, number, work / f"case_{number}")), file=file, flush=True)
    faulthandler.cancel_dump_traceback_later()


def one(bases: dict, seed: int, number: int, folder: Path, keep: bool = False) -> dict:
    """One case: a study of random dialect and kind, mutated, laid out, read and judged."""
    rng = random.Random(f"{seed} {number}")
    dialect = rng.choice(("siemens", "philips", "ge", "enhanced", "enhanced"))
    reader = rng.choices(list(READERS), [r[2] for r in READERS.values()])[0]
    held = {"T1 map": "t1", "inversions": "inversion"}.get(reader, "cine")
    files = dict(bases[dialect, held if rng.random() < 0.9 else rng.choice(("t1", "capture")), FIRST])
    kind = rng.choices(list(KINDS), [k[1] for k in KINDS.values()])[0]
    files = KINDS[kind][0](rng, files, bases)
    owners = {name: SECOND if name.startswith("z") else FIRST for name in files}
    traps = lay_out(rng, files, folder)
    read, judge, _ = READERS[reader]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome, wrong, trace = "read", [], ""
    try:
        result = read(folder)
        wrong = judge(result, folder, owners)
    except BaseException as error:
        outcome, wrong = "refused", judging.refusal(error)
        if wrong:
            trace = "".join(traceback.format_exception(error))[-3000:]
        if isinstance(error, StudyError):
            outcome = "refused"
            trace = trace or str(error)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak
    if grown > 2**19:
        wrong.append(f"memory grew by {grown // 1024} MB")
    if not keep:
        shutil.rmtree(folder)
    return {
        "number": number, "kind": kind, "reader": reader, "dialect": dialect, "traps": traps,
        "outcome": outcome, "wrong": sorted(set(wrong)), "trace": trace if wrong else "",
    }  # fmt: skip


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    from base_studies import base_studies

    result = one(base_studies(), int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), keep=True)
    print(json.dumps(result, indent=1))
    print(result["trace"])
