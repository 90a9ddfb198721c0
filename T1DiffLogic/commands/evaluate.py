"""`t1diff evaluate DATASET -o OUT`: the study's tables and figures on a prepared dataset, resumable."""

from __future__ import annotations

import argparse
from pathlib import Path

from .arguments import add_device, add_output


def add(subparsers, common) -> None:
    """Declares the command."""
    parser = subparsers.add_parser(
        "evaluate",
        parents=[common],
        help="trained methods side by side on a prepared dataset: the paper's tables and figures",
    )
    parser.add_argument(
        "dataset", type=Path, metavar="DATASET", help="folder that `t1diff prepare` has written"
    )
    add_output(parser)
    parser.add_argument(
        "--methods",
        nargs="+",
        required=True,
        type=_named_folder,
        metavar="NAME=FOLDER",
        help="model folders and their names in the tables; the first is compared with all others",
    )
    parser.add_argument(
        "--split", choices=("test", "validation", "train"), default="test", help="(default: %(default)s)"
    )
    parser.add_argument(
        "--samples", type=_count, default=8, metavar="K", help="maps of each method that samples (default: 8)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the noise (default: %(default)s)"
    )
    parser.add_argument(
        "--most-steps",
        type=_count,
        metavar="N",
        help="N steps of DDIM for a method that would take more (default: as its configuration says)",
    )
    parser.add_argument(
        "--patients", type=_count, metavar="N", help="only the first N of each group (default: all)"
    )
    for name, what in (("vendor", "of another scanner"), ("disease", "with another disease")):
        parser.add_argument(
            f"--{name}-shift", type=Path, metavar="DATASET", help=f"a dataset of patients {what}"
        )
    add_device(parser)
    parser.set_defaults(run=run)


def run(args, reporter) -> None:
    """Measures what OUT/data does not hold yet, then writes tables, figures and study.md from it."""
    from ..training.methods import need_lightning

    need_lightning()  # of the same extra as SciPy, which the statistics need
    from ..devices import chosen_device
    from ..errors import StudyError, UsageError
    from ..evaluation.results import write_results
    from ..evaluation.run import Evaluation, EvaluationOptions
    from ..evaluation.study_records import DISEASE, FAILURES, VENDOR

    methods = dict(args.methods)
    if len(methods) < len(args.methods):
        raise UsageError("--methods gives one name twice; every method needs its own.")
    shifts = {VENDOR: args.vendor_shift, DISEASE: args.disease_shift}
    evaluation = Evaluation(
        args.dataset,
        args.output,
        methods,
        EvaluationOptions(
            split=args.split,
            samples=args.samples,
            seed=args.seed,
            patients=args.patients,
            most_steps=args.most_steps,
        ),
        chosen_device(args.device),
        {name: folder for name, folder in shifts.items() if folder is not None},
        command=_command(args),
        say=reporter.say,
        progress=lambda share: reporter("measuring", share),
    )
    refused = evaluation.run()
    page = write_results(args.output, reporter.say)
    reporter.say(f"{page}")
    reporter.event("done", output=str(args.output), status="incomplete" if refused else "ok")
    if refused:
        raise StudyError(
            f"{refused} measurements were refused: the reasons are in {args.output / 'data' / FAILURES}, "
            "and the next run tries them again."
        )


def _command(args) -> str:
    """The command as typed, folders by their last name: what is published names no place of a machine."""
    parts = ["t1diff evaluate", args.dataset.name, "-o", args.output.name, "--methods"]
    parts += [f"{name}={folder.name}" for name, folder in args.methods]
    parts += ["--split", args.split, "--samples", str(args.samples), "--seed", str(args.seed)]
    for option in ("most_steps", "patients"):
        if getattr(args, option) is not None:
            parts += [f"--{option.replace('_', '-')}", str(getattr(args, option))]
    for option in ("vendor_shift", "disease_shift"):
        if getattr(args, option) is not None:
            parts += [f"--{option.replace('_', '-')}", getattr(args, option).name]
    return " ".join(parts)


def _named_folder(text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    if not equals or not name.strip() or not folder:
        raise argparse.ArgumentTypeError(f"'{text}' is not NAME=FOLDER")
    return name.strip(), Path(folder)


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value
