"""Prints the table of networks in docs/baselines.md: parameters and floating-point operations.

python docs/baselines_table.py [--time BATCH]    (with --time also seconds of one thread for an update)
"""

import argparse
import sys
import time
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # from a source tree that is not installed

from T1DiffLogic.engine.precision import inference_precision
from T1DiffLogic.engine.samplers import STOCHASTIC
from T1DiffLogic.training.methods import METHODS, configuration, method_class

SIZES = {
    "t1diff": ("full", "small"), "paper": ("full", "small"), "regression": ("full", "small"),
    "pix2pix": ("full", "small"), "cyclegan": ("full", "small"), "pgan": ("full", "small"),
    "hinet": ("full",), "gan_disentangled": ("full", "small", "paper", "paper_small"),
    "ddpm_raw": ("full", "small", "paper", "paper_small"),
}  # fmt: skip


def inputs_of(method, batch: int) -> dict:
    maps = {name: torch.rand(batch, 1, 128, 128) for name in ("t1_ms", "expected_ms", "weight")}
    masks = {name: torch.rand(batch, 4, 128, 128).softmax(1) for name in ("soft_ed", "soft_es")}
    return {"cine": torch.rand(batch, method.cine_phases, 128, 128), **masks, **maps}


def prediction_gflop(method, inputs: dict) -> tuple[float, int]:
    """(10⁹ operations for one map of one slice, evaluations of the generator or noise estimator).

    A diffusion is measured with one and with two steps, and continued to as many as it takes.
    """
    config = getattr(method.network, "config", None)
    if not hasattr(config, "sampler_steps"):
        return _gflop(lambda: method.predict_ms(inputs, 1, 0, [0])), 1
    if config.sampler in STOCHASTIC:
        method.sampler = "ddim"
    cost = []
    for method.sampler_steps in (1, 2):
        cost.append(_gflop(lambda: method.predict_ms(inputs, 1, 0, [0])))
    return cost[0] + (config.sampler_steps - 1) * (cost[1] - cost[0]), config.sampler_steps


def training_gflop(method, inputs: dict) -> float:
    """10⁹ operations of one update for each slice of the batch; over stages, weighted by their share."""

    def update():
        for _, loss in method.training_losses(inputs):
            loss.backward()

    total = 0.0
    for stage, share in method.stages:
        method.progress.stage = stage
        total += share * _gflop(update)
    return total / len(inputs["cine"])


def update_seconds(method, inputs: dict) -> float:
    """Processor seconds of one update in bfloat16 where the processor has it, as in training."""
    method.network.to(memory_format=torch.channels_last)
    optimisers = method.optimisers()

    def update():
        with inference_precision(torch.device("cpu")):
            for name, loss in method.training_losses(inputs):
                optimisers[name].zero_grad(set_to_none=True)
                loss.backward()
                optimisers[name].step()

    total = 0.0
    for stage, share in method.stages:
        method.progress.stage = stage
        update()
        begun = time.process_time()
        update()
        total += share * (time.process_time() - begun)
    return total


def _gflop(work) -> float:
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops() / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--time", type=int, metavar="BATCH", help="time the small sizes, at this batch size")
    parser.add_argument("methods", nargs="*", default=list(METHODS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(
        "| method | size | M parameters | learning in all | GFLOP a map | evaluations | GFLOP an update | s |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name in arguments.methods:
        for size in SIZES[name]:
            torch.manual_seed(0)
            method = method_class(name)(configuration(name, size)).train()
            used, learning = (
                sum(p.numel() for p in part.parameters()) / 1e6 for part in (method.network, method)
            )
            training = training_gflop(method, inputs_of(method, 1))
            seconds = "–"
            if arguments.time and ("small" in size or name == "hinet"):
                seconds = f"{update_seconds(method, inputs_of(method, arguments.time)):.2f}"
            map_, steps = prediction_gflop(method.eval(), inputs_of(method, 1))
            print(
                f"| {name} | {size} | {used:.2f} | {learning:.2f} | {map_:.1f} | {steps} | {training:.1f} "
                f"| {seconds} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
