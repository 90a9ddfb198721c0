"""`t1diff benchmark`: how fast T1Diff is on this machine, and what its steps are worth on a dataset."""

from __future__ import annotations

import argparse
from pathlib import Path

from .arguments import add_device


def add(subparsers, common) -> None:
    """Declares the command."""
    parser = subparsers.add_parser(
        "benchmark",
        parents=[common],
        help="speed of sampling and training on this machine; with --steps, accuracy by sampler steps",
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="folder for the tables (default: only printed)"
    )
    parser.add_argument(
        "--model", type=Path, metavar="DIR", help="T1Diff model folder (default: the installed fast arm)"
    )
    add_device(parser)
    speed = parser.add_argument_group("speed")
    speed.add_argument(
        "--batch-size", type=_count, default=16, metavar="B", help="of training (default: %(default)s)"
    )
    speed.add_argument(
        "--seconds", type=_positive, default=2.0, metavar="S", help="spent on each figure (default: 2)"
    )
    speed.add_argument("--compile", action="store_true", help="compile the training steps")
    steps = parser.add_argument_group("steps against accuracy, in place of speed")
    steps.add_argument(
        "--steps", type=Path, metavar="DATASET", help="on this folder that `t1diff prepare` has written"
    )
    steps.add_argument(
        "--evaluations", type=_count, nargs="+", metavar="N",
        help="of the noise estimator (default: 1 2 4 8 16 50)",
    )  # fmt: skip
    steps.add_argument(
        "--samples", type=_count, nargs="+", metavar="K", help="maps that are averaged (default: 1 4 16)"
    )
    steps.add_argument(
        "--split", choices=("test", "validation", "train"), default="test", help="(default: %(default)s)"
    )
    steps.add_argument("--patients", type=_count, metavar="N", help="only the first N (default: all)")
    steps.add_argument("--seed", type=int, default=0, metavar="N", help="of the noise (default: 0)")
    parser.set_defaults(run=run)


def run(args, reporter) -> None:
    """Measures, prints and, with -o, writes one of the two."""
    from ..devices import chosen_device
    from ..resources import model_folder
    from ..training.methods import need_lightning

    need_lightning()
    model = args.model or model_folder("fast")
    device = chosen_device(args.device)
    (_steps if args.steps else _speed)(args, model, device, reporter)


def _speed(args, model: Path, device, reporter) -> None:
    from ..benchmark.run import Benchmark
    from ..benchmark.tables import page, write

    _check(args, ("evaluations", "samples", "patients"), "--steps DATASET")
    benchmark = Benchmark(
        model,
        device,
        batch_size=args.batch_size,
        spend=args.seconds,
        compiled=args.compile,
        say=reporter.say,
        progress=lambda share: reporter("measuring", share),
    )
    benchmark.run()
    command = f"t1diff benchmark --device {device.type} --seconds {args.seconds:g}"
    command += f" --batch-size {args.batch_size}" + (" --compile" if args.compile else "")
    if args.model:
        command += f" --model {model.name}"
    reporter.say(page(benchmark, command))
    if args.output:
        reporter.say(str(write(benchmark, args.output, command)))
    reporter.event("done", output=args.output and str(args.output), status="ok")


def _steps(args, model: Path, device, reporter) -> None:
    from ..errors import UsageError
    from ..evaluation.steps import EVALUATIONS, SAMPLES, StepsStudy

    if args.output is None:
        raise UsageError("--steps keeps a row per patient, so that it can be resumed; give -o DIR.")
    study = StepsStudy(
        args.steps,
        model,
        args.output,
        device,
        evaluations=tuple(sorted(set(args.evaluations or EVALUATIONS))),
        samples=tuple(sorted(set(args.samples or SAMPLES))),
        split=args.split,
        patients=args.patients,
        seed=args.seed,
        say=reporter.say,
        progress=lambda share: reporter("measuring", share),
    )
    study.run()
    # intervals of R come from the room of the study, which needs more packages than the measurement
    from ..evaluation.steps_tables import write_steps

    reporter.say(str(write_steps(args.output, reporter.say)))
    reporter.event("done", output=str(args.output), status="ok")


def _check(args, names: tuple[str, ...], needed: str) -> None:
    """Raises UsageError where one of the options `names` was given without what it needs."""
    from ..errors import UsageError

    given = [f"--{name}" for name in names if getattr(args, name) is not None]
    if given:
        raise UsageError(f"{', '.join(given)} belongs to {needed}; give that too, or leave it out.")


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def _positive(text: str) -> float:
    value = float(text)
    if value <= 0:
        raise argparse.ArgumentTypeError("must be above 0")
    return value
