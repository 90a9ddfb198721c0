"""Arguments that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path

STUDY_HELP = "folder with DICOM in any nesting and file naming, or a 4D NIfTI or .seq.nrrd file"


def add_output(parser: argparse.ArgumentParser, metavar: str = "OUT") -> None:
    """`-o OUT`, required."""
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar=metavar, help="folder to write, made when absent"
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """`--device`."""
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="auto is cuda where there is one (default: %(default)s)",
    )


def add_anatomy(parser: argparse.ArgumentParser) -> None:
    """Everything by which a person overrides the found anatomy."""
    group = parser.add_argument_group("reviewed anatomy, in place of what the network finds")
    group.add_argument("--ed", type=int, metavar="N", help="end-diastolic phase, counted from 0")
    group.add_argument("--es", type=int, metavar="N", help="end-systolic phase, counted from 0")
    for phase, name in (("ed", "end-diastole"), ("es", "end-systole")):
        group.add_argument(
            f"--labels-{phase}",
            type=Path,
            metavar="FILE",
            help=f"labels at {name}: a volume in cine geometry, 1 RV, 2 LV myocardium, 3 LV cavity",
        )
    group.add_argument(
        "--rv-insertions",
        type=Path,
        metavar="FILE",
        help="anterior and inferior RV insertion points (.mrk.json, or .csv of slice,row,column)",
    )


def add_model(parser: argparse.ArgumentParser) -> None:
    """Which model synthesises, and how."""
    group = parser.add_argument_group("model")
    group.add_argument("--preset", choices=("fast", "paper"), default="fast", help="(default: %(default)s)")
    group.add_argument("--model", type=Path, metavar="DIR", help="model folder, in place of the preset's")
    group.add_argument(
        "--samples",
        type=int,
        metavar="K",
        help="maps drawn; the result is their mean and SD (default: the model's own)",
    )
    group.add_argument("--steps", type=int, metavar="N", help="sampler steps (default: the model's own)")
    group.add_argument("--seed", type=int, default=0, metavar="N", help="of the noise (default: %(default)s)")
    add_device(group)


def add_report(parser: argparse.ArgumentParser) -> None:
    """What report.html says beyond the result: the site's range, and whom it shows."""
    group = parser.add_argument_group("report")
    group.add_argument(
        "--reference",
        type=Path,
        metavar="FILE",
        help="the site's range of native T1 for the z-scores, a .json as docs/report.md describes",
    )
    group.add_argument(
        "--identify",
        action="store_true",
        help="show the patient's name, ID, date of birth and study date in report.html (default: nobody's)",
    )


def options_of(args: argparse.Namespace, cine):
    """The SynthesisOptions that `args` ask for; labels and points are read onto the grid of `cine`."""
    from ..loading import load_labels, load_rv_insertions
    from ..options import SynthesisOptions

    labels = {
        f"labels_{phase}": load_labels(path, cine)
        for phase, path in (("ed", args.labels_ed), ("es", args.labels_es))
        if path is not None
    }
    if args.rv_insertions is not None:
        labels["rv_insertions"] = load_rv_insertions(args.rv_insertions, cine)
    names = ("ed", "es", "preset", "model", "samples", "steps", "seed", "device")
    return SynthesisOptions(**{n: getattr(args, n) for n in names if hasattr(args, n)}, **labels)
