"""`t1diff evaluate`: every method on every patient of a prepared dataset's split, into OUT/data.

The order: what the training patients teach the trivial controls; thresholds and the SD's factor of each
method from patients outside the test set; then patient by patient. See study_records.py for what is written.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

import torch

from ..dataset.pairs import PreparedPairs
from ..errors import StudyError
from ..study import RESEARCH_NOTICE
from ..training.prepared import check_phases
from ..versions import installed_versions
from .calibration import calibrated, native_threshold
from .cases import Case
from .contestants import CEILINGS, ShuffledCine, TrainedMethod, next_patients
from .disentanglement import can_be_intervened, exchange_rows, exchanged
from .measure import measured
from .origin import commit, device_name
from .pictures import chosen_cases, write_exchange, write_pictures
from .scar import is_infarcted
from .sensitivity import sensitivity_rows
from .study_records import MEAN, TEST, StudyRecords, file_name, read_run, write_run
from .trivial import TrainingMeans, training_means, trivial_controls

CASES_KEPT = 96
"""Patients kept in memory, about 5 MB each: three groups as large as the paper's test set."""


@dataclass(frozen=True)
class EvaluationOptions:
    """What is measured and how.

    samples       K maps of each method that samples
    patients      the first N of each group; None is all
    calibration   patients outside the test set for thresholds and the SD's factor
    sensitivity   patients for the sensitivity to ED, contours and seed
    exchanges     pairs of patients whose conditions are exchanged
    most_steps    of a diffusion's sampler, see TrainedMethod
    """

    split: str = "test"
    samples: int = 8
    seed: int = 0
    patients: int | None = None
    calibration: int = 20
    sensitivity: int = 10
    exchanges: int = 6
    most_steps: int | None = None


@dataclass
class Evaluation:
    """One run: `methods` maps names to model folders; the first is compared with all others."""

    dataset: Path
    out: Path
    methods: dict[str, Path]
    options: EvaluationOptions
    device: torch.device
    shifts: dict[str, Path] = field(default_factory=dict)
    command: str = ""
    say: Callable[[str], None] = print
    progress: Callable[[float], None] = lambda share: None

    def run(self) -> int:
        """Measures what is not there yet; returns how many pieces of work were refused (failures.csv)."""
        options = self.options
        if not self.methods:
            raise StudyError("no method was named; give --methods NAME=FOLDER.")
        self.groups = {TEST: PreparedPairs(self.dataset, options.split)}
        self.groups |= {name: PreparedPairs(folder, options.split) for name, folder in self.shifts.items()}
        description = self.groups[TEST].description
        known = description.get("splits", {})
        self.calibration_split = "validation" if known.get("validation") else "train"
        if options.split == self.calibration_split:
            self.calibration_split = "train"
        self.calibration = PreparedPairs(self.dataset, self.calibration_split)
        self.folder = self.out / "data"
        self.records = StudyRecords(self.folder)
        self.record = self._started(description)
        if self.record["native_roc_threshold_ms"] is None:
            self.record["native_roc_threshold_ms"] = native_threshold(self._calibration_cases())
        means = self._training_means()
        reference = next(iter(self.methods))
        self.failures = 0
        for number, (name, folder) in enumerate(self.methods.items()):
            method = TrainedMethod(name, folder, self.device, options.most_steps)
            for pairs in self.groups.values():
                check_phases(method.method, pairs)
            self._measure(method)
            self._copy_log(name, folder)
            write_pictures(self.folder / "pictures", method, self.chosen, options.samples, options.seed)
            cases = list(self._cases(TEST)) if name == reference else []
            if len(cases) > 1:
                shuffled = ShuffledCine(method, next_patients(cases))
                self._measure(shuffled, (TEST,), self._calibration_of(name))
            self._probe(method)
            self.progress((number + 1) / (len(self.methods) + 1))
        for contestant in (*trivial_controls(means), *CEILINGS):
            self._measure(contestant)
        self.progress(1.0)
        return self.failures

    def _started(self, description: dict) -> dict:
        """run.json of this study, new or gone on with. StudyError when it was another study."""
        options = self.options
        groups = {}
        for name, pairs in self.groups.items():
            chosen = pairs.patients[: options.patients]
            groups[name] = {
                "patients": len(chosen),
                "slices": sum(r["patient"] in chosen for r in pairs.rows),
                "origin": pairs.description.get("origin", "not stated"),
                "options": pairs.description.get("options", {}),
                "sha256": pairs.digest,
            }
        fixed = {
            "format": 1,
            "notice": RESEARCH_NOTICE,
            "split": options.split,
            "samples": options.samples,
            "seed": options.seed,
            "most_steps": options.most_steps,
            "splits": description.get("splits", {}),
            "split_seed": description.get("split_seed"),
            "calibration_split": self.calibration_split,
            "groups": groups,
        }
        earlier = read_run(self.folder)
        if earlier is not None:
            for name in ("split", "samples", "seed", "most_steps", "splits", "split_seed"):
                if earlier.get(name) != fixed[name]:
                    raise StudyError(
                        f"{self.folder} holds a study with another {name}; give an empty folder with -o."
                    )
            for name, group in groups.items():
                before = earlier["groups"].get(name, group)
                if before.get("sha256", group["sha256"]) != group["sha256"]:
                    raise StudyError(
                        f"{self.groups[name].folder} is not what {self.folder} was measured on; "
                        "give an empty folder with -o."
                    )
                if before["patients"] > group["patients"]:  # of a run without --patients
                    groups[name] = before
            fixed["methods"] = earlier["methods"]
            fixed["groups"] = earlier["groups"] | groups
            fixed["native_roc_threshold_ms"] = earlier.get("native_roc_threshold_ms")
        run = fixed | {
            "reference": next(iter(self.methods)),
            "methods": fixed.get("methods", {}),
            "commit": commit(),
            "command": self.command,
            "device": device_name(self.device),
            "versions": installed_versions("torch", "numpy", "scipy"),
        }
        run.setdefault("native_roc_threshold_ms", None)
        write_run(self.folder, run)
        return run

    def _training_means(self) -> TrainingMeans:
        path = self.folder / "training_means.npz"
        if not path.is_file():
            self.say("what the training patients teach the trivial controls …")
            training_means(PreparedPairs(self.dataset, "train")).save(path)
        return TrainingMeans.load(path)

    def _calibration_of(self, name: str) -> dict:
        """The calibration that stands for a method, as that of one that has no variants."""
        found = self.record["methods"][name]["calibration"]
        return {"": found.get(MEAN, found.get("", {}))}

    def _measure(self, contestant, groups=None, calibration: dict | None = None) -> None:
        name = contestant.name
        told = contestant.describe()
        earlier = self.record["methods"].get(name)
        if earlier is not None and {k: v for k, v in earlier.items() if k != "calibration"} != told:
            self.say(f"{name}: other weights than before; measured again")
            self.records.forget(name)
            for picture in (file_name(name), f"exchange {file_name(name)}"):
                (self.folder / "pictures" / f"{picture}.npz").unlink(missing_ok=True)
            earlier = None
        if earlier is None:
            self.say(f"{name}: thresholds and SD from {self.calibration_split} patients")
            if calibration is None:
                calibration = calibrated(contestant, self._calibration_cases(), self.options)
            earlier = told | {"calibration": calibration}
        self.record["methods"][name] = earlier
        write_run(self.folder, self.record)
        for group in groups or self.groups:
            self._measure_group(contestant, group, earlier["calibration"])

    @cached_property
    def chosen(self) -> list[tuple[Case, int]]:
        """The slices that the figures show."""
        return chosen_cases(self._cases(TEST))

    @cached_property
    def _case(self) -> Callable[[str, str], Case]:
        """(group, patient) -> Case; every contestant asks for all of them."""
        sources = self.groups | {self.calibration_split: self.calibration}
        return lru_cache(CASES_KEPT)(lambda group, patient: Case(group, sources[group].patient(patient)))

    def _cases(self, group: str, limit: int | None = None) -> Iterator[Case]:
        """The patients of a group, at most `limit`."""
        for patient in self.groups[group].patients[: self.options.patients][:limit]:
            yield self._case(group, patient)

    def _calibration_cases(self) -> Iterator[Case]:
        for patient in self.calibration.patients[: self.options.calibration]:
            yield self._case(self.calibration_split, patient)

    def _measure_group(self, contestant, group: str, calibration: dict) -> None:
        options, pairs = self.options, self.groups[group]
        patients = pairs.patients[: options.patients]
        missing = [p for p in patients if ("measure", group, contestant.name, p) not in self.records.done]
        for number, patient in enumerate(missing, start=1):
            key = ("measure", group, contestant.name, patient)
            try:
                case = self._case(group, patient)
                readings = contestant.readings(case, options.samples, options.seed)
                tables: dict[str, list[dict]] = {}
                for variant, reading in readings.items():
                    own = calibration.get(variant, {})
                    rows = measured(
                        reading,
                        own.get("roc_threshold_ms"),
                        self.record["native_roc_threshold_ms"],
                        own.get("sd_factor"),
                        own.get("error_sd_ms"),
                    )
                    for table, found in rows.items():
                        tables.setdefault(table, []).extend({"variant": variant} | row for row in found)
            except StudyError as error:
                self._refused(key, error)
                continue
            if tables:  # a ceiling that this dataset does not hold has none
                self.records.add(key, tables)
            self.say(f"{contestant.name}, {group}: {number}/{len(missing)}")

    def _probe(self, method: TrainedMethod) -> None:
        """Sensitivity, and the exchange of conditions where the method has them."""
        options = self.options
        for case in self._cases(TEST, options.sensitivity):
            key = ("sensitivity", TEST, method.name, case.patient)
            if key not in self.records.done:
                self.records.add(
                    key, {"sensitivity": sensitivity_rows(method, case, options.samples, options.seed)}
                )
        if not can_be_intervened(method):
            return
        for number, (one, other) in enumerate(self._exchange_pairs()):
            key = ("exchange", TEST, method.name, one.patient)
            picture = self.folder / "pictures" / f"exchange {file_name(method.name)}.npz"
            if key in self.records.done and (number or picture.is_file()):
                continue
            maps = exchanged(method, one, other, options.samples, options.seed)
            if number == 0:
                write_exchange(picture, maps, one, other)
            if key not in self.records.done:
                self.records.add(key, {"exchanges": exchange_rows(maps, one, other)})

    def _exchange_pairs(self) -> list[tuple[Case, Case]]:
        """Patients with an infarct beside patients without, in order; neighbours where one is missing."""
        cases = list(self._cases(TEST))
        sick = [c for c in cases if is_infarcted(c)]
        well = [c for c in cases if not is_infarcted(c)]
        pairs = list(zip(sick, well)) or list(zip(cases[::2], cases[1::2]))
        return pairs[: self.options.exchanges]

    def _copy_log(self, name: str, folder: Path) -> None:
        """The method's training log (log.csv beside its weights), for the convergence curves."""
        source = folder / "log.csv"
        if source.is_file():
            target = self.folder / "convergence" / f"{file_name(name)}.csv"
            target.parent.mkdir(exist_ok=True)
            with source.open(newline="", encoding="utf-8") as file:
                rows = list(csv.reader(file))
            with target.open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows(rows)

    def _refused(self, key, error: StudyError) -> None:
        self.failures += 1
        self.records.fail(key, str(error))
        self.say(f"{key[2]}, {key[3]}: {error}")
