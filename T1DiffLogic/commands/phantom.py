"""`t1diff phantom -o OUT -n N`: digital patients as DICOM, each with what is true of it."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from ..phantom import DIALECTS
from .arguments import add_output


def add(subparsers, common) -> None:
    """Declares the command."""
    parser = subparsers.add_parser("phantom", parents=[common], help="digital patients as DICOM")
    add_output(parser)
    parser.add_argument("-n", type=int, default=1, metavar="N", help="patients (default: %(default)s)")
    parser.add_argument(
        "--vendor",
        choices=(*DIALECTS, "mixed"),
        default="mixed",
        help="DICOM dialect, or all in turn (default: %(default)s)",
    )
    parser.add_argument("--split", choices=("train", "validation", "test"), default="test", help="seed range")
    parser.add_argument("--first", type=int, default=0, metavar="I", help="first index in its range")
    parser.add_argument("--phases", type=int, default=25, metavar="P", help="cine phases (25)")
    parser.add_argument(
        "--molli", action="store_true", help="also write the MOLLI images that the T1 map was fitted to"
    )
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--healthy", action="store_true", help="only healthy patients")
    group.add_argument("--infarcted", action="store_true", help="only infarcted patients")
    parser.set_defaults(run=run)


def run(args, reporter) -> None:
    """Renders and writes OUT/patient_<seed>/ for each."""
    from ..errors import StudyError, UsageError
    from ..outputs import check_writable
    from ..phantom.draws import SEEDS, patient_seed
    from ..phantom.patient import digital_patient

    last = len(SEEDS[args.split]) - 1
    if args.n < 1 or args.first < 0 or args.first + args.n - 1 > last:
        raise UsageError(f"-n {args.n} from --first {args.first}: patients of '{args.split}' are 0…{last}.")
    if not 8 <= args.phases <= 60:
        raise UsageError(f"--phases {args.phases} is outside 8…60.")
    check_writable(args.output)
    infarcted = True if args.infarcted else False if args.healthy else None
    for i in range(args.n):
        seed = patient_seed(args.split, args.first + i)
        dialect = DIALECTS[i % len(DIALECTS)] if args.vendor == "mixed" else args.vendor
        reporter("phantom", i / args.n, str(seed))
        folder = args.output / f"patient_{seed}"
        if folder.exists():
            raise StudyError(f"{folder} exists already; choose another folder with -o, or remove it.")
        patient = digital_patient(seed, phases=args.phases, infarcted=infarcted, inversion=args.molli)
        with tempfile.TemporaryDirectory(prefix=".t1diff-", dir=args.output) as stage:
            write_patient(patient, Path(stage) / folder.name, dialect)
            os.replace(Path(stage) / folder.name, folder)
        reporter.say(f"{folder}: {dialect}, {'infarcted' if patient.infarcted else 'no scar'}")
    reporter("phantom", 1.0)
    reporter.event("done", output=str(args.output), status="ok")


def write_patient(patient, folder: Path, dialect: str) -> None:
    """Writes dicom/ (with the MOLLI images where the patient has them), the truth as labels_ed.nrrd,
    labels_es.nrrd and t1_truth.nrrd (ms), and truth.json."""
    from ..nrrd_files import write_stack
    from ..phantom.dicom_inversion import write_inversion_series
    from ..phantom.dicom_writer import write_cine, write_t1_map

    write_cine(patient.cine, folder / "dicom", dialect, seed=patient.seed)
    write_t1_map(patient.t1, folder / "dicom", dialect, seed=patient.seed)
    if patient.inversion is not None:
        write_inversion_series(patient.inversion, folder / "dicom", dialect, seed=patient.seed)
    geometries = patient.cine.geometries
    write_stack(patient.labels[:, patient.ed], geometries, folder, "labels_ed")
    write_stack(patient.labels[:, patient.es], geometries, folder, "labels_es")
    write_stack(patient.t1_truth_ms, patient.t1.geometries, folder, "t1_truth")
    truth = {
        "seed": patient.seed,
        "vendor": dialect,
        "infarcted": patient.infarcted,
        "ed": patient.ed,
        "es": patient.es,
        "edv_ml": patient.edv_ml,
        "esv_ml": patient.esv_ml,
        "mass_g": patient.mass_g,
    }
    (folder / "truth.json").write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")
