"""`t1diff synthesize STUDY -o OUT`: one study, from images on disk to everything that is written."""

from __future__ import annotations

from pathlib import Path

from .arguments import STUDY_HELP, add_anatomy, add_model, add_output, options_of


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
    add_anatomy(parser)
    add_model(parser)
    parser.set_defaults(run=run)


def run(args, reporter) -> None:
    """Reads, synthesises, writes; says where."""
    from ..progress import Stopwatch

    watch = Stopwatch()
    run_study(args.study, args.output, args.native, lambda cine: options_of(args, cine), reporter, watch)


def run_study(study, output, native, options_for, reporter, watch):
    """The whole way of one study, shared with the demo: (Synthesis, statistics as in result.json).

    options_for  the function that makes SynthesisOptions once the cine, and so its grid, is known
    """
    from ..loading import load_cine, load_t1_map
    from ..outputs import check_writable, write_outputs
    from ..synthesis import synthesize

    check_writable(output)
    with watch("read"):
        reporter("read", 0.0)
        cine = load_cine(study)
        native_map = load_t1_map(native) if native is not None else None
        options = options_for(cine)
        reporter("read", 1.0)
    synthesis = synthesize(cine, options, native=native_map, progress=reporter, watch=watch)
    with watch("write"):
        result = write_outputs(synthesis, output, seconds=watch.seconds, progress=reporter)
    reporter.event("done", output=str(output), status=result["status"])
    return synthesis, result
