"""The synthesis model of one run: its weights on a device, what it was trained on, its provenance."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from .anatomy.normalisation import FEATURES, intensity_distance, intensity_features
from .anatomy.roi import PIXEL_MM
from .devices import chosen_device
from .engine import checkpoint
from .engine.t1diff import DRAWING, T1Diff
from .errors import StudyError
from .options import SynthesisOptions
from .resources import model_folder, trained_on
from .sampling import EngineInputs
from .study import RESEARCH_NOTICE, T1_SCALE_NOTICE
from .versions import installed_versions

PIXEL_RANGE_MM = (0.3, 5.0)


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A T1Diff network with what its folder says of it.

    settings  the `metadata` of config.json. Keys used here, all optional: `pixel_mm`; `trained_on`, a
              phrase; `intensity` with `features` (names), `mean`, `sd` of the training stream and `limit`,
              the largest `intensity_distance` still like training.
    """

    network: T1Diff
    name: str
    weights_sha256: str
    settings: dict
    device: torch.device

    @classmethod
    def load(cls, options: SynthesisOptions) -> LoadedModel:
        """The model that `options` name. StudyError when it is missing, damaged or of another kind."""
        folder = Path(options.model) if options.model is not None else model_folder(options.preset)
        device = chosen_device(options.device)
        config = checkpoint.read_config(folder, "t1diff")
        _check_settings(folder, config["metadata"])
        network = checkpoint.load(folder, "t1diff").to(device, memory_format=torch.channels_last)
        return cls(network, folder.resolve().name, config["weights_sha256"], config["metadata"], device)

    @property
    def pixel_mm(self) -> float:
        """Pixel size in mm of the region of interest."""
        return float(self.settings.get("pixel_mm", PIXEL_MM))

    @property
    def trained_on(self) -> str:
        """What the model was trained on, in words."""
        return trained_on(self.settings)

    def samples(self, options: SynthesisOptions) -> int:
        """K."""
        return options.samples if options.samples is not None else self.network.config.samples

    def steps(self, options: SynthesisOptions) -> int:
        """Sampler steps. StudyError for more than the model's diffusion has."""
        steps = options.steps if options.steps is not None else self.network.config.sampler_steps
        if steps > self.network.config.timesteps:
            raise StudyError(f"--steps {steps}: the model has {self.network.config.timesteps} timesteps.")
        return steps

    def far_from_training(self, inputs: EngineInputs) -> np.ndarray | None:
        """(S,) distance of each slice's intensities from those of training, 1 being the last accepted.

        None when the model folder holds no intensity statistics, or of other features than these.
        """
        statistics = self.settings.get("intensity")
        if statistics is None or tuple(statistics["features"]) != FEATURES:
            return None
        mean, sd = (torch.tensor(statistics[key], dtype=torch.float32) for key in ("mean", "sd"))
        features = intensity_features(inputs.cine, inputs.soft_ed)
        return (intensity_distance(features, mean, sd) / float(statistics["limit"])).numpy()

    def provenance(self, options: SynthesisOptions) -> dict:
        """What result.json says of how a map was made."""
        return {
            "model": self.name,
            "weights_sha256": self.weights_sha256,
            "seed": options.seed,
            "sampler": self.network.config.sampler,
            "steps": self.steps(options),
            "samples": self.samples(options),
            **{name: self.network.config.sampling[name] for name in DRAWING},
            "device": self.device.type,
            "versions": installed_versions("torch", "numpy", "SimpleITK", "pydicom"),
            "trained_on": self.trained_on,
            "notices": [RESEARCH_NOTICE, f"trained on {self.trained_on}", T1_SCALE_NOTICE],
        }


def _check_settings(folder: Path, settings: dict) -> None:
    """StudyError unless the metadata that a synthesis relies on are numbers that it can work with."""
    statistics = settings.get("intensity")
    try:
        numbers = [float(settings.get("pixel_mm", PIXEL_MM))]
        low, high = PIXEL_RANGE_MM
        sound = low <= numbers[0] <= high
        if statistics is not None and tuple(statistics["features"]) == FEATURES:
            mean, sd = ([float(v) for v in statistics[key]] for key in ("mean", "sd"))
            numbers += [*mean, *sd, float(statistics["limit"])]
            sound &= len(mean) == len(sd) == len(FEATURES) and min(*sd, statistics["limit"]) > 0
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError):
        sound = False
    if not sound or not np.isfinite(numbers).all():
        raise StudyError(
            f"{folder / checkpoint.CONFIG} has unusable metadata (pixel_mm or intensity); "
            "copy the model folder again."
        )
