"""`t1diff synthesize STUDY -o OUT`: one study, from images on disk to everything that is written."""

from __future__ import annotations

from pathlib import Path

from .arguments import STUDY_HELP, add_anatomy, add_model, add_output, add_report, options_of


def add(subparsers, common) -> None:
    """Declares the command."""
    parser = subparsers.add_parser(
        "synthesize", parents=[common], help="a cine study to a T1 map, its statistics and a Slicer scene"
    )
    parser.add_argument("study", type=Path, metavar="STUDY", help=STUDY_HELP)
    add_output(parser)
    parser.add_argument(
        "--native", type=Path, metavar="T1_DIR", help="the patient's native T1 map, DICOM, to compare with"
    )
    parser.add_argument(
        "--record",
        type=Path,
        metavar="FILE",
        help="write everything that was computed, samples too, to this .synthesis.npz as well",
    )
    add_anatomy(parser)
    add_model(parser)
    add_report(parser)
    parser.set_defaults(run=run)


def run(args, reporter) -> None:
    """Reads, synthesises, writes, and prints the summary."""
    from ..summary import summary_of
    from ..whole_study import run_study

    _, result = run_study(
        args.study,
        args.output,
        args.native,
        lambda cine: options_of(args, cine),
        reporter,
        record=args.record,
        reference=args.reference,
        identify=args.identify,
    )
    for line in summary_of(result, args.output):
        reporter.say(line)
