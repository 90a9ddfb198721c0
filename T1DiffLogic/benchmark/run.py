"""`t1diff benchmark`: latency, throughput and training speed of T1Diff beside MONAI's DiffusionModelUNet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from ..engine import checkpoint
from ..sampling import MAPS_AT_ONCE
from ..training.methods import method_class
from .arithmetic import matrix_product_ceiling, sampling_operations
from .hearts import Hearts
from .samplers import (
    DDIM,
    DDPM,
    MONAI,
    Contestant,
    MonaiLearner,
    monai_contestant,
    monai_missing,
    monai_network,
    parameters_of,
    t1diff_contestant,
)
from .timing import LONGEST_SECONDS, Timing, sampling_time
from .training_speed import update_time

STUDY_SLICES = 3
BATCHES = {"cpu": (1, 2, 4, 8, 16), "cuda": (16, 64, 128, 256, 512, 1024)}
"""Maps in one batch that the best throughput is looked for in, upwards while a larger one still gains."""

SLICE, STUDY, THROUGHPUT, TRAINING = "one slice", "one study", "throughput", "training"


@dataclass(frozen=True)
class Figure:
    """One measured number.

    task         SLICE, STUDY (STUDY_SLICES slices), THROUGHPUT or TRAINING
    stage        of training, or the sampler
    evaluations  of the network for one map; None in training
    slices, samples   of one pass; batch: maps (or training slices) that the network sees at once
    timing       of one pass, or of one update
    operations   of one pass, or of one update
    """

    task: str
    method: str
    parameters: int
    stage: str
    evaluations: int | None
    slices: int
    samples: int
    batch: int
    timing: Timing
    operations: int

    @property
    def images_a_second(self) -> float:
        return self.slices * self.samples / self.timing.seconds

    @property
    def operations_a_second(self) -> float:
        return self.operations / self.timing.seconds


@dataclass
class Benchmark:
    """One run on one device.

    model       a T1Diff model folder
    batch_size  of training
    spend       seconds that are spent on a figure; a single pass may take longer, up to `longest`
    compiled    torch.compile the training steps
    batches     of BATCHES, where others are to be tried
    """

    model: Path
    device: torch.device
    batch_size: int = 16
    spend: float = 2.0
    longest: float = LONGEST_SECONDS
    compiled: bool = False
    batches: tuple[int, ...] = ()
    say: Callable[[str], None] = print
    progress: Callable[[float], None] = lambda share: None
    figures: list[Figure] = field(default_factory=list)

    def run(self) -> None:
        """Fills `figures`, `ceiling` (operations a second, matrix size, Timing), `monai` (why it is not
        measured, or None), `config` and `samples`."""
        self.config = checkpoint.read_config(self.model, "t1diff")
        network = checkpoint.load(self.model, "t1diff").to(self.device, memory_format=torch.channels_last)
        self.samples = network.config.samples
        self.say("matrix products …")
        self.ceiling = matrix_product_ceiling(self.device, self.spend / 2)
        self.say("digital hearts …")
        phases = network.config.cine_phases
        self.hearts = Hearts.of(phases, self.device)
        self.monai = monai_missing()
        contestants = [t1diff_contestant(network)]
        if (contestants[0].sampler, contestants[0].evaluations) != DDIM:
            contestants.append(t1diff_contestant(network, *DDIM))
        if self.monai is None:
            torch.manual_seed(0)
            other = monai_network(phases).eval()
            other.to(self.device, memory_format=torch.channels_last)
            contestants += [monai_contestant(other, *sampler) for sampler in (DDIM, DDPM)]
        for number, contestant in enumerate(contestants):
            self._sampling(contestant)
            self.progress((number + 1) / (len(contestants) + 1))
        self._training(network)
        self.progress(1.0)

    def _sampling(self, contestant: Contestant) -> None:
        for task, slices in ((SLICE, 1), (STUDY, STUDY_SLICES)):
            for samples in dict.fromkeys((1, self.samples)):
                self._time(contestant, task, slices, samples)
        best = None
        for batch in self.batches or BATCHES[self.device.type]:
            try:
                found = self._time(contestant, THROUGHPUT, batch, 1, batch)
            except torch.OutOfMemoryError:
                self.say(f"{contestant.name}: {batch} maps at once do not fit the device's memory")
                break
            if best is not None and found.images_a_second <= best.images_a_second:
                break
            best = found

    def _time(
        self, contestant: Contestant, task: str, slices: int, samples: int, batch: int | None = None
    ) -> Figure:
        inputs = self.hearts.inputs(slices)

        def sample(evaluations: int):
            return contestant.draw(inputs, samples, evaluations, batch)

        time = sampling_time(sample, contestant.evaluations, self.device, self.spend, self.longest)
        counted = sampling_operations(sample, contestant.evaluations)
        at_once = batch or min(slices * samples, usual_batch(self.device, samples))
        figure = Figure(
            task, contestant.name, contestant.parameters, contestant.sampler, contestant.evaluations,
            slices, samples, at_once, time, counted,
        )  # fmt: skip
        return self._add(figure)

    def _training(self, network) -> None:
        method = method_class(self.config["metadata"].get("method", "t1diff"))
        torch.manual_seed(0)
        learners = [("T1Diff", method(self.config["architecture"]), stage) for stage, _ in method.stages]
        if self.monai is None:
            learners.append((MONAI, MonaiLearner(network.config.cine_phases), MonaiLearner.stages[0][0]))
        for name, learner, stage in learners:
            time, counted = update_time(
                learner, stage, self.hearts, self.batch_size, self.device, self.spend, self.compiled
            )
            size = self.batch_size
            self._add(
                Figure(
                    TRAINING, name, parameters_of(learner.network), stage, None, size, 1, size, time, counted
                )
            )

    def _add(self, figure: Figure) -> Figure:
        self.figures.append(figure)
        self.say(
            f"{figure.task}, {figure.method}, {figure.stage}, {figure.slices} x {figure.samples}: "
            f"{1000 * figure.timing.seconds:.4g} ms, {figure.images_a_second:.4g} images a second"
            + (" (extrapolated)" if figure.timing.extrapolated else "")
        )
        return figure


def usual_batch(device: torch.device, samples: int) -> int:
    """Maps that the product computes at once."""
    return max(1, MAPS_AT_ONCE[device.type] // samples) * samples
