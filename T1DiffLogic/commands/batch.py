"""`t1diff batch COHORT -o OUT`: many studies, each on its own, resumable after any kill."""

from __future__ import annotations

import argparse
from pathlib import Path

from .arguments import add_model, add_output, add_report


def add(subparsers, common) -> None:
    """Declares the command."""
    parser = subparsers.add_parser(
        "batch",
        parents=[common],
        help="every study below a folder, on several processes or a Dask cluster, resumable",
    )
    parser.add_argument(
        "cohort", type=Path, metavar="COHORT", help="folder that holds the studies, in any nesting"
    )
    add_output(parser)
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--workers",
        type=_count,
        metavar="N",
        help="processes on this machine, 0: this very one (default: one per GPU, or per two cores)",
    )
    group.add_argument(
        "--scheduler", metavar="ADDRESS", help="Dask scheduler whose workers do the work, tcp://host:8786"
    )
    parser.add_argument(
        "--resume",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="keep what an earlier run finished with the same options from the same files (default), or not",
    )
    parser.add_argument(
        "--native", action="store_true", help="compare each study with the native T1 map that lies in it"
    )
    parser.add_argument(
        "--list", action="store_true", help="show which studies are found and their folders in OUT, and stop"
    )
    add_model(parser)
    add_report(parser)
    parser.set_defaults(run=run)


def run(args, reporter) -> None:
    """Runs the batch; StudyError when not every study is done, so that the exit code says so."""
    if args.list:
        list_studies(args, reporter)
        return
    from ..batch.run import BatchOptions, run_batch
    from ..batch.tables import INDEX, SUMMARY
    from ..errors import StudyError
    from ..report.reference import read_reference
    from ..study import RESEARCH_NOTICE

    names = ("model", "preset", "samples", "steps", "seed", "device")
    result = run_batch(
        args.cohort,
        args.output,
        {
            name: str(getattr(args, name)) if name == "model" and args.model else getattr(args, name)
            for name in names
        },
        BatchOptions(
            args.workers,
            args.scheduler,
            args.resume,
            args.native,
            args.debug,
            read_reference(args.reference),
            args.identify,
        ),
        reporter,
    )
    reporter.say(f"{result.ok} of {result.total} studies are done ({result.kept} of them by an earlier run)")
    reporter.say(f"{args.output / SUMMARY}, {args.output / INDEX}")
    reporter.say(RESEARCH_NOTICE)
    counts = {"ok": result.ok, "failed": result.failed, "waiting": result.waiting, "total": result.total}
    whole = result.ok == result.total and not result.unsearched
    reporter.event("done", output=str(args.output), status="ok" if whole else "incomplete", **counts)
    if not whole:
        raise StudyError(what_is_left(result, args.output / SUMMARY))


def what_is_left(result, summary: Path) -> str:
    """One sentence on a batch that is not all done."""
    said = []
    if result.failed:
        said.append(
            f"{result.failed} of {result.total} studies failed: the reasons are in {summary}, and the "
            "next run tries them again"
        )
    if result.unsearched:
        said.append(f"{result.unsearched} folders could not be searched: batch.log says why")
    if result.stopped:
        said.append(result.stopped)
    return "; ".join(said)


def list_studies(args, reporter) -> None:
    """Shows the studies with their place on disk, which no written file holds."""
    from ..batch.cohort import find_studies
    from ..dicom.files import printable

    studies, problems = find_studies(args.cohort.resolve(), args.output.resolve())
    for study in studies:
        reporter.event("study", study=study.name, place=study.place)
        reporter.say(f"{study.name}  {printable(study.place) or '.'}")
    for problem in problems:
        reporter.say(f"not searched: {problem}")


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return value
