"""The study's cohort of digital patients, prepared as a hospital's would be.

    python -m T1DiffLogic.dataset.phantom_cohort -o DATASET -n 313 --workers 2

The published protocol: 313 patients, 282 to train and 31 to test, three slices each (base, mid, apex). The
28 validation patients are carved from the 282. Patients are rendered in memory and pass through the same
pairing as own scans: their LV is found by the segmenter, their maps are aligned by it, and what is
excluded is excluded. `--shift vendor` and `--shift disease` write the 31 test patients alone, under another
scanner or with another disease.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from ..errors import StudyError, UsageError
from ..phantom.draws import SEEDS, patient_seed
from ..progress import Reporter
from ..sentences import sentence_of
from .pairing import Examination, PairingOptions, PhantomTruth
from .preparing import Patient, Prepared, prepare_patients

PATIENTS = 313
TEST_SHARE, VALIDATION_SHARE = 31 / 313, 28 / 282

FIRST_TRAINING = 9_900_000
"""Index of the first training patient in the train range: the rendered streams begin at 0, at multiples of
2 000 000 and at 5 100 000 (training.replay), evaluation.controls.TRAINING_PATIENTS lie at 5 000 000."""

FIRST_TEST = 1_000
"""Index of the first test patient in the test range: the demo shows the first ones, 0 to 9."""

ORIGIN = "digital phantoms only"


@dataclass(frozen=True)
class PhantomSource:
    """One digital patient by its seed; rendered where it is worked on."""

    seed: int
    shift: str = ""
    sparse: bool = True

    @property
    def inputs(self) -> str:
        return f"phantom {self.seed} {self.shift}".strip()

    def load(self) -> Examination:
        """Cine of the three slices that have a T1 map, both T1 scans and the truth."""
        from ..phantom.patient import digital_patient
        from ..phantom.shifts import SHIFTS

        shift = SHIFTS[self.shift] if self.shift else None
        patient = digital_patient(self.seed, t1_slices_only=True, expected=True, shift=shift)
        return Examination(
            patient.cine,
            patient.t1,
            PhantomTruth(
                seed=patient.seed,
                infarcted=patient.infarcted,
                labels=patient.labels,
                repeat=patient.t1_repeat,
                truth_ms=patient.t1_truth_ms,
                expected_ms=patient.t1_expected_ms,
                scar=patient.t1_scar,
            ),
        )

    def clean(self, sentence: str) -> str:
        return sentence


def study_patients(count: int = PATIENTS, shift: str = "") -> list[Patient]:
    """The patients of a study of `count`, split as the published 282/31; with `shift` the test's alone.

    Of 313: 254 to train, 28 to validate, 31 to test. Raises UsageError for fewer than 10.
    """
    if not 10 <= count <= 50_000:
        raise UsageError(f"-n {count}: a study has 10 to 50000 patients.")
    tests = round(count * TEST_SHARE)
    learned = count - tests
    validation = round(learned * VALIDATION_SHARE)
    patients = []
    for split, first, seeds, number in (
        ("train", FIRST_TRAINING, "train", learned - validation),
        ("validation", FIRST_TRAINING + learned - validation, "train", validation),
        ("test", FIRST_TEST, "test", tests),
    ):
        for index in range(first, first + number):
            seed = patient_seed(seeds, index)
            patients.append(Patient(f"phantom-{seed:08d}", split, PhantomSource(seed, shift)))
    return [p for p in patients if p.split == "test"] if shift else patients


def prepare_cohort(
    folder: Path,
    count: int = PATIENTS,
    shift: str = "",
    workers: int = 1,
    options: PairingOptions | None = None,
    reporter: Reporter | None = None,
) -> Prepared:
    """Make the DATASET `folder` of the study. Raises as preparing.prepare_patients."""
    patients = study_patients(count, shift)
    description = {
        "split_seed": 0,
        "origin": ORIGIN,
        "options": {
            "patients": count,
            "shift": shift or None,
            "first_training_seed": SEEDS["train"][FIRST_TRAINING],
            "first_test_seed": SEEDS["test"][FIRST_TEST],
        },
    }
    return prepare_patients(
        patients, folder, options or PairingOptions(), description, workers, reporter or Reporter()
    )


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DATASET")
    parser.add_argument("-n", type=int, default=PATIENTS, help="patients in all (default: %(default)s)")
    parser.add_argument(
        "--workers", type=int, default=1, help="processes; 0: this one (default: %(default)s)"
    )
    parser.add_argument("--shift", choices=("vendor", "disease"), default="", help="test patients, altered")
    parser.add_argument("--no-pictures", action="store_true", help="without a picture per pair")
    arguments = parser.parse_args(argv)
    reporter = Reporter("bar")
    try:
        result = prepare_cohort(
            arguments.output,
            arguments.n,
            arguments.shift,
            arguments.workers,
            PairingOptions(pictures=not arguments.no_pictures),
            reporter,
        )
    except (StudyError, OSError, KeyboardInterrupt) as error:
        reporter.end_line()
        raise SystemExit(sentence_of(error)) from error
    told = f"{result.done} patients, {result.pairs} pairs, {result.excluded} patients excluded"
    reporter.say(f"{told}: {arguments.output}")


if __name__ == "__main__":
    main()
