"""`t1diff prepare COHORT -o DATASET`: own patients with cine and native T1 as pairs to learn from."""

from __future__ import annotations

import argparse
from pathlib import Path

from .arguments import add_device, add_output


def add(subparsers, common) -> None:
    """Declares the command."""
    parser = subparsers.add_parser(
        "prepare",
        parents=[common],
        help="patients with cine and native T1 to aligned pairs, for training and evaluation; resumable",
    )
    parser.add_argument(
        "cohort",
        type=Path,
        metavar="COHORT",
        help="folder that holds the patients, in any nesting; or a CMRxRecon download",
    )
    add_output(parser, "DATASET")
    parser.add_argument(
        "--workers", type=_count, metavar="N", help="processes; 0: this very one (default: one per two cores)"
    )
    splits = parser.add_argument_group("splits, by patient")
    splits.add_argument("--split-seed", type=int, default=0, metavar="N", help="(default: %(default)s)")
    for name in ("test", "validation"):
        splits.add_argument(
            f"--{name}-share", type=float, default=0.1, metavar="SHARE", help="(default: %(default)s)"
        )
    splits.add_argument(
        "--patient-by",
        choices=("id", "folder", "study"),
        default="id",
        help="what makes a patient: PatientID, the topmost folder below COHORT, or each study "
        "(default: %(default)s)",
    )
    splits.add_argument(
        "--key", type=Path, metavar="FILE", help="write who is who to this CSV, outside DATASET"
    )
    pairs = parser.add_argument_group("pairs")
    pairs.add_argument(
        "--cine-phases",
        type=int,
        default=5,
        metavar="P",
        help="phases that the models see, ED first (default: %(default)s)",
    )
    pairs.add_argument(
        "--all-phases",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="keep the whole cine too, for the sensitivity to ED and ES (default), or not",
    )
    pairs.add_argument(
        "--pictures",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="draw a picture of every pair, to look at (default), or not",
    )
    add_device(parser)
    parser.set_defaults(run=run)


def run(args, reporter) -> None:
    """Finds the patients, prepares each, writes the tables; says where."""
    from ..batch.pools import default_workers, visible_gpus
    from ..dataset.cohort import ReconSource, find_patients, write_key
    from ..dataset.pairing import PairingOptions
    from ..dataset.pairs import SPLITS
    from ..dataset.preparing import Patient, prepare_patients
    from ..dataset.splits import split_of
    from ..errors import UsageError
    from ..outputs import check_writable

    shares = (args.split_seed, args.test_share, args.validation_share)
    split_of("", *shares)
    if args.output.resolve() == args.cohort.resolve():
        raise UsageError("DATASET is the cohort's own folder; choose another with -o.")
    options = PairingOptions(args.cine_phases, args.all_phases, args.pictures)
    check_writable(args.output)
    reporter("find", 0.0)
    found, problems = find_patients(
        args.cohort, args.output, args.patient_by, lambda files: reporter("find", 0.0, f"{files} files")
    )
    reporter("find", 1.0)
    for problem in problems:
        reporter.say(f"not searched: {problem}")
    if args.key is not None:
        write_key(args.key, found, args.output)
    patients = [Patient(one.name, split_of(one.name, *shares), one.source) for one in found]
    workers = default_workers(visible_gpus(args.device)) if args.workers is None else args.workers
    names = ("test_share", "validation_share", "patient_by")
    description = {
        "split_seed": args.split_seed,
        "origin": "CMRxRecon" if all(isinstance(p.source, ReconSource) for p in found) else "own scans",
        "options": {name: getattr(args, name) for name in names},
    }
    result = prepare_patients(
        patients, args.output, options, description, workers, reporter, args.device, args.debug
    )
    reporter.say(f"{result.done} of {result.patients} patients, {result.pairs} pairs: {args.output}")
    for split in SPLITS:
        if not any(p.split == split for p in patients):
            reporter.say(
                f"no patient is in the split {split!r}; another --split-seed or share may give it some"
            )
    if result.excluded:
        reporter.say(f"{result.excluded} patients are left out: excluded.csv says why")
    reporter.event("done", output=str(args.output), status="ok", patients=result.done, pairs=result.pairs)


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return value
