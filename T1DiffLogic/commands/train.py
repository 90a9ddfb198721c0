"""`t1diff train METHOD [DATASET] -o DIR`: one training run with a budget, resumable."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from ..training.methods import METHODS, need_lightning
from .arguments import add_device, add_output

SEGMENTER, SYNTHESIS = "segmenter", "synthesis"


def add(subparsers, common) -> None:
    """Declares the command."""
    parser = subparsers.add_parser(
        "train",
        parents=[common],
        help="the segmenter, the synthesis model or another method, on digital hearts or on your own scans",
    )
    parser.add_argument(
        "method",
        choices=(SEGMENTER, SYNTHESIS, *METHODS),
        metavar="METHOD",
        help=f"'{SEGMENTER}', '{SYNTHESIS}' (T1Diff, the arm of --preset), or a method of the study: "
        + ", ".join(METHODS),
    )
    parser.add_argument(
        "dataset",
        nargs="?",
        type=Path,
        metavar="DATASET",
        help="folder written by `t1diff prepare` (default: digital hearts, rendered while learning)",
    )
    add_output(parser, "DIR")
    budget = parser.add_argument_group("budget")
    either = budget.add_mutually_exclusive_group()
    either.add_argument("--max-minutes", type=float, metavar="M", help="minutes in all (default: 60)")
    either.add_argument("--max-updates", type=int, metavar="U", help="updates of the weights in all")
    budget.add_argument("--resume", action="store_true", help="go on where an earlier sitting stopped")
    budget.add_argument(
        "--sitting",
        type=float,
        metavar="M",
        help="stop after M minutes of the budget, to go on later with --resume",
    )
    learning = parser.add_argument_group("learning")
    learning.add_argument(
        "--size",
        default="full",
        help="of the network: full, small, or another in its configuration (default: %(default)s)",
    )
    learning.add_argument("--preset", choices=("fast", "paper"), help=f"arm of '{SYNTHESIS}' (default: fast)")
    learning.add_argument("--batch-size", type=int, default=16, metavar="B", help="(default: %(default)s)")
    learning.add_argument("--lr", type=float, help="peak learning rate (default: the network's own)")
    learning.add_argument("--seed", type=int, default=0, metavar="N", help="(default: %(default)s)")
    learning.add_argument(
        "--start", type=Path, metavar="DIR", help="model folder whose weights to start from (default: none)"
    )
    learning.add_argument(
        "--keep-mean",
        action="store_true",
        help="with --start, of T1Diff: its mean map stands, and the diffusion around it is learned anew",
    )
    learning.add_argument(
        "--segmenter",
        type=Path,
        metavar="DIR",
        help="model folder of the segmenter whose masks are learned from too (default: the installed one)",
    )
    learning.add_argument(
        "--cavity-labels",
        type=Path,
        metavar="NPZ",
        help=f"for '{SEGMENTER}': real slices with LV cavity labels (docs/method.md)",
    )
    learning.add_argument(
        "--teacher",
        type=Path,
        metavar="DIR",
        help="with --cavity-labels: model folder of a segmenter that completes these labels (self-training)",
    )
    machine = parser.add_argument_group("machine")
    add_device(machine)
    machine.add_argument(
        "--devices",
        type=int,
        default=1,
        metavar="N",
        help="processes that share each batch, one per GPU (default: %(default)s)",
    )
    machine.add_argument(
        "--workers",
        type=int,
        default=1,
        metavar="N",
        help="rendering processes; 0 renders on the training device (default: %(default)s)",
    )
    machine.add_argument(
        "--compile", action="store_true", help="compile the training step: slow start, faster steps"
    )
    machine.add_argument("--tensorboard", action="store_true", help="write TensorBoard files beside log.csv")
    parser.set_defaults(run=run)


def run(args, reporter) -> None:
    """Trains until the budget is spent; DIR is then a model folder."""
    _check(args)
    if int(os.environ.get("LOCAL_RANK", 0)):  # one of several processes: the first one speaks
        reporter = type(reporter)("none", out=open(os.devnull, "w"))  # noqa: SIM115
    need_lightning()
    from ..devices import chosen_device
    from ..resources import installed_segmenter
    from ..training.budget import Budget
    from ..training.runs import train_method, train_segmenter
    from ..training.train import RunOptions

    minutes = args.max_minutes or (60.0 if args.max_updates is None else None)
    options = RunOptions(
        budget=Budget(minutes, args.max_updates),
        sitting=Budget(args.sitting) if args.sitting else None,
        seed=args.seed,
        device=chosen_device(args.device).type,
        devices=args.devices,
        resume=args.resume,
        compiled=args.compile,
        tensorboard=args.tensorboard,
    )
    common = {
        "batch_size": args.batch_size,
        "lr": args.lr,
        "workers": args.workers,
        "say": reporter.say,
        "progress": reporter,
    }
    if args.method == SEGMENTER:
        train_segmenter(
            args.output,
            options,
            cavity_labels=args.cavity_labels,
            teacher=args.teacher,
            start=args.start,
            **common,
        )
    else:
        train_method(
            _name(args),
            args.output,
            options,
            dataset=args.dataset,
            size=args.size,
            start=args.start,
            keep_mean=args.keep_mean,
            segmenter=None if args.dataset else args.segmenter or installed_segmenter(),
            **common,
        )
    reporter.say(f"model folder: {args.output}")
    reporter.event("done", output=str(args.output), status="ok")


def _name(args: argparse.Namespace) -> str:
    """The study's name of what is asked for."""
    if args.method != SYNTHESIS:
        return args.method
    return "paper" if args.preset == "paper" else "t1diff"


def _check(args: argparse.Namespace) -> None:
    """Raises UsageError for options that no data could make right."""
    from ..errors import UsageError

    amounts = (args.max_minutes, args.max_updates, args.sitting, args.lr)
    if any(a is not None and a <= 0 for a in amounts):
        raise UsageError("--max-minutes, --max-updates, --sitting and --lr must be above 0.")
    if args.batch_size < 2 or args.workers < 0 or args.devices < 1:
        raise UsageError("--batch-size must be at least 2, --workers at least 0, --devices at least 1.")
    if args.batch_size % args.devices:
        raise UsageError("--batch-size must be a multiple of --devices, which share each batch.")
    segmenter = args.method == SEGMENTER
    if args.start and args.resume:
        raise UsageError("--start begins a new run and --resume goes on with one; leave out one of them.")
    if args.keep_mean and (not args.start or _name(args) != "t1diff"):
        raise UsageError(
            "--keep-mean is for T1Diff's fast arm and needs --start with a folder that has a mean."
        )
    if args.preset and args.method != SYNTHESIS:
        raise UsageError(f"--preset is for '{SYNTHESIS}'; the arms of the study are 't1diff' and 'paper'.")
    if segmenter and (args.dataset or args.size != "full" or args.segmenter):
        raise UsageError(
            f"'{SEGMENTER}' learns from rendered hearts in one size; leave out DATASET, --size, --segmenter."
        )
    if args.cavity_labels and not segmenter:
        raise UsageError(f"--cavity-labels is for '{SEGMENTER}'.")
    if args.teacher and not args.cavity_labels:
        raise UsageError("--teacher completes cavity labels; give --cavity-labels, too.")
    if args.dataset and args.segmenter:
        raise UsageError("DATASET holds its segmenter's masks; leave out --segmenter.")
