"""What `t1diff train` does: the networks by name, with the data and the validation that belong to them."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path

import torch

from ..dataset.pairs import PreparedPairs
from ..engine import checkpoint
from ..engine.t1diff import SAMPLING, T1DiffConfig
from ..errors import StudyError
from ..progress import silent
from .learner import Learner
from .methods import configuration, method_class
from .prepared import PreparedData, check_phases
from .segmenter import Segmenter, SegmenterValidation
from .stream import RenderedImages, RenderedPairs
from .t1diff import T1DiffFast
from .train import RunOptions, train
from .validation import Validation

LATER_SEEDS = 5_100_000
"""Where a run that starts from trained weights begins in the training range: at hearts not yet seen."""


def train_method(
    name: str,
    out: Path,
    options: RunOptions,
    *,
    dataset: Path | None = None,
    size: str = "full",
    batch_size: int = 16,
    lr: float | None = None,
    start: Path | None = None,
    keep_mean: bool = False,
    segmenter: Path | None = None,
    workers: int = 1,
    say=print,
    progress=silent,
) -> None:
    """Train a method of the study (`methods.METHODS`) and write `out`, as `train` does.

    dataset    a DATASET folder; None learns from the rendered stream
    size       'full' or 'small', of Resources/Configs
    lr         peak learning rate; None is the method's own
    start      a model folder of the same method to start from instead of from nothing
    keep_mean  only the conditions and the mean map of `start`, a T1Diff, are taken and stand as they are;
               the whole budget is for the diffusion around them, which begins from nothing
    segmenter  of the stream: a trained GF-UNet's folder, whose masks stand in for 60 % of the true ones
    workers    of the stream: rendering processes; 0 renders on the device of training
    """
    if keep_mean and start is None:
        raise StudyError("no model folder was named whose mean map is to be kept; name one to start from.")
    torch.manual_seed(options.seed)
    method = method_class(name)(configuration(name, size))
    if lr is not None:
        method.peak_rate = lr
    device = torch.device(options.device)
    if start is not None and keep_mean:
        _keep_mean_of(method, start)
    elif start is not None:
        _start_from(method, method.architecture, start)
    if dataset is not None:
        for split in ("train", "validation"):  # before anything is loaded
            check_phases(method, PreparedPairs(dataset, split, cache_mib=0))
        data = PreparedData(dataset, batch_size, options.seed)
        validation = partial(Validation.prepared, dataset, device)
    else:
        net = checkpoint.load(segmenter, "gf_unet").to(device) if segmenter else None
        data = RenderedPairs(method.cine_phases, net, batch_size, options.seed, workers)
        validation = partial(Validation.rendered, method.cine_phases, net, device)
    metadata = {"pixel_mm": data.pixel_mm, "size": size}
    if start is not None:
        metadata["started_from"] = checkpoint.read_config(start)["weights_sha256"]
        metadata |= {"kept_mean": True} if keep_mean else {}
    train(method, data, validation, out, options, metadata, say, progress)


def train_segmenter(
    out: Path,
    options: RunOptions,
    *,
    batch_size: int = 16,
    lr: float | None = None,
    cavity_labels: Path | None = None,
    teacher: Path | None = None,
    start: Path | None = None,
    workers: int = 1,
    say=print,
    progress=silent,
) -> None:
    """Train GF-UNet on the rendered stream and write `out`, as `train` does.

    cavity_labels  .npz of real partial labels (CavityLabels), a third of each batch
    teacher        a trained GF-UNet's folder, whose contours complete them
    start          a GF-UNet's folder to start from instead of from nothing
    """
    torch.manual_seed(options.seed)
    learner = Segmenter()
    if lr is not None:
        learner.peak_rate = lr
    if start is not None:
        _start_from(learner, learner.network.config, start)
    completing = checkpoint.load(teacher, "gf_unet").eval() if teacher else None
    data = RenderedImages(cavity_labels, completing, batch_size, options.seed, workers)
    validation = partial(SegmenterValidation, cavity_labels, torch.device(options.device))
    told = {"started_from": start, "teacher": teacher}
    metadata = {k: checkpoint.read_config(v)["weights_sha256"] for k, v in told.items() if v is not None}
    train(learner, data, validation, out, options, metadata, say, progress)


def _start_from(learner: Learner, architecture: dict, folder: Path) -> None:
    config = checkpoint.read_config(folder)
    if _trained(config["architecture"]) != _trained(architecture):
        raise StudyError(f"{folder} is not of the same method and size; name the folder that is, or none.")
    checkpoint.fill(learner.network, folder, config)
    learner.progress = dataclasses.replace(learner.progress, next_seed=LATER_SEEDS)


def _keep_mean_of(learner: Learner, folder: Path) -> None:
    if type(learner) is not T1DiffFast:
        raise StudyError(f"{learner.name} has no mean map to keep; leave out --keep-mean.")
    trained = checkpoint.load(folder, "t1diff")
    if trained.mean is None or _of_mean(trained.config) != _of_mean(learner.network.config):
        raise StudyError(f"{folder} holds no mean map of the same kind and size; name the folder that does.")
    learner.keep_mean_of(trained)
    learner.progress = dataclasses.replace(learner.progress, next_seed=LATER_SEEDS)


def _of_mean(config: T1DiffConfig) -> tuple:
    """What decides the shape and the unit of the mean map."""
    return (
        config.size, config.cine_phases, config.muscle_window, config.t1_low_ms, config.t1_high_ms,
        config.modality_widths, config.modality_bottleneck, config.morphology_widths,
    )  # fmt: skip


def _trained(architecture: dict) -> dict:
    return {k: v for k, v in architecture.items() if k not in SAMPLING}
