"""`t1diff fit-t1 SERIES -o OUT`: raw MOLLI or ShMOLLI images to a T1 map."""

from __future__ import annotations

from pathlib import Path

from .arguments import add_device, add_output


def add(subparsers, common) -> None:
    """Declares the command."""
    parser = subparsers.add_parser(
        "fit-t1", parents=[common], help="MOLLI or ShMOLLI inversion images to a T1 map and its R²"
    )
    parser.add_argument(
        "series",
        type=Path,
        metavar="SERIES",
        help="folder with the inversion images as DICOM; anything else of the examination may lie beside",
    )
    add_output(parser)
    parser.add_argument(
        "--series",
        type=int,
        dest="number",
        metavar="N",
        help="SeriesNumber to fit where several inversion series lie in the folder (default: native, most "
        "slices, motion-corrected first)",
    )
    parser.add_argument(
        "--min-r2",
        type=float,
        default=0.95,
        metavar="R2",
        help="no T1 where R² of the fit is lower (default: %(default)s)",
    )
    parser.add_argument(
        "--correction",
        type=float,
        default=1.0,
        metavar="F",
        help="factor on T1, such as 1/0.96 for imperfect inversion (default: %(default)s, none)",
    )
    add_device(parser)
    parser.set_defaults(run=run)


def run(args, reporter) -> None:
    """Fits, writes; says where and what to know of it."""
    from ..t1_fit import NOTICE, run_fit

    result = run_fit(
        args.series,
        args.output,
        number=args.number,
        min_r2=args.min_r2,
        correction=args.correction,
        device=args.device,
        progress=reporter,
    )
    times = result["slices"][0]["inversion_times_ms"]
    reporter.say(f"{result['series']}: {len(result['slices'])} slices, {len(times)} inversion times each")
    for note in result["notes"]:
        reporter.say(f"Note: {note}")
    reporter.say(f"written to {args.output}: {', '.join(sorted(result['files'].values()))}")
    reporter.say(NOTICE)
    reporter.event("done", output=str(args.output), status=result["status"])
