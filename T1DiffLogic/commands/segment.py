"""`t1diff segment STUDY -o OUT`: LV and RV labels at ED and ES, and the function of the LV."""

from __future__ import annotations

from pathlib import Path

from .arguments import STUDY_HELP, add_anatomy, add_device, add_output, options_of


def add(subparsers, common) -> None:
    """Declares the command."""
    parser = subparsers.add_parser(
        "segment", parents=[common], help="RV, LV myocardium and LV cavity at ED and ES, volumes and EF"
    )
    parser.add_argument("study", type=Path, metavar="STUDY", help=STUDY_HELP)
    add_output(parser)
    parser.add_argument("--all-phases", action="store_true", help="also write every phase, labels.seq.nrrd")
    add_anatomy(parser)
    add_device(parser)
    parser.set_defaults(run=run)


def run(args, reporter) -> None:
    """Reads, segments, writes; says where."""
    from ..loading import load_cine
    from ..outputs import check_writable, write_segmentation
    from ..segmentation import segment
    from ..summary import number

    check_writable(args.output)
    reporter("read", 0.0)
    cine = load_cine(args.study)
    found = segment(cine, options_of(args, cine), progress=reporter)
    files = write_segmentation(cine, found, args.output, all_phases=args.all_phases)
    function = found.function
    reporter.say(f"ED phase {found.phases.ed}, ES phase {found.phases.es} of {found.phases.count}")
    reporter.say(
        f"EDV {number(function['edv_ml'])} mL, ESV {number(function['esv_ml'])} mL, "
        f"EF {number(function['ef_percent'])} %, mass {number(function['mass_g'])} g"
    )
    reporter.say(f"written to {args.output}: {', '.join(sorted(files))}")
    reporter.event("done", output=str(args.output), status="ok")
