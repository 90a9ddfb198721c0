"""`t1diff train WHAT -o DIR`: one training run on the rendered stream, with a time budget, resumable."""

from __future__ import annotations

from pathlib import Path

from .arguments import add_device, add_output


def add(subparsers, common) -> None:
    """Declares the command."""
    parser = subparsers.add_parser(
        "train", parents=[common], help="the segmenter or the synthesis model, on rendered digital hearts"
    )
    parser.add_argument("what", choices=("segmenter", "synthesis"), help="which network")
    add_output(parser, "DIR")
    parser.add_argument(
        "--max-minutes", type=float, default=60.0, metavar="M", help="time budget (default: %(default)s)"
    )
    parser.add_argument("--resume", action="store_true", help="go on where an earlier sitting stopped")
    parser.add_argument("--batch-size", type=int, default=16, metavar="B", help="(default: %(default)s)")
    parser.add_argument("--lr", type=float, help="peak learning rate (default: the network's own)")
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        metavar="N",
        help="rendering processes; 0 renders on the training device (default: %(default)s)",
    )
    parser.add_argument(
        "--compile", action="store_true", help="compile the training step: slow start, faster steps"
    )
    segmenter = parser.add_argument_group("segmenter")
    segmenter.add_argument(
        "--cavity-labels", type=Path, metavar="NPZ", help="real slices with LV cavity labels (docs/method.md)"
    )
    synthesis = parser.add_argument_group("synthesis")
    synthesis.add_argument(
        "--preset", choices=("fast", "paper"), default="fast", help="(default: %(default)s)"
    )
    synthesis.add_argument(
        "--segmenter",
        type=Path,
        metavar="DIR",
        help="model folder of the segmenter whose masks are learned from too (default: the installed one)",
    )
    synthesis.add_argument(
        "--start",
        type=Path,
        metavar="DIR",
        help="model folder whose weights to start from (default: from nothing)",
    )
    add_device(parser)
    parser.set_defaults(run=run)


def run(args, reporter) -> None:
    """Trains until the time budget is spent; DIR is then a model folder."""
    from ..errors import UsageError

    if args.max_minutes <= 0 or args.batch_size < 2 or args.workers < 0:
        raise UsageError("--max-minutes must be above 0, --batch-size at least 2, --workers at least 0.")
    if args.start and (args.resume or args.what != "synthesis"):
        raise UsageError("--start begins a new synthesis run; leave it out with --resume or a segmenter.")
    from ..devices import chosen_device
    from ..resources import installed_segmenter

    common = {
        "max_minutes": args.max_minutes,
        "batch_size": args.batch_size,
        "resume": args.resume,
        "device": chosen_device(args.device).type,
        "workers": args.workers,
        "compiled": args.compile,
        "say": reporter.say,
        **({} if args.lr is None else {"lr": args.lr}),
    }
    if args.what == "segmenter":
        from ..training.train_segmenter import train_segmenter

        train_segmenter(args.output, cavity_labels=args.cavity_labels, **common)
    else:
        from ..training.train_synthesis import train_synthesis

        train_synthesis(
            args.output,
            preset=args.preset,
            start=args.start,
            segmenter=args.segmenter or installed_segmenter(),
            **common,
        )
    reporter.say(f"model folder: {args.output}")
    reporter.event("done", output=str(args.output), status="ok")
