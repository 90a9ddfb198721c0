"""`t1diff demo -o OUT`: the main job on an unseen digital patient."""

from __future__ import annotations

from ..phantom import DIALECTS
from .arguments import add_device, add_output


def add(subparsers, common) -> None:
    """Declares the command."""
    parser = subparsers.add_parser(
        "demo", parents=[common], help="a digital patient that the models never saw, through the whole way"
    )
    add_output(parser)
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="which test patient, from 0 (default: %(default)s)"
    )
    parser.add_argument(
        "--vendor", choices=DIALECTS, default="siemens", help="DICOM dialect to write (default: %(default)s)"
    )
    add_device(parser)
    parser.set_defaults(run=run)


def run(args, reporter) -> None:
    """Writes the patient, reads it back, synthesises, writes, and prints the summary."""
    from ..demo import run_demo

    run_demo(args.output, args.seed, args.vendor, args.device, reporter)
