"""Training of T1Diff from the rendered stream of digital hearts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn

from ..anatomy.normalisation import FEATURES, intensity_distance, intensity_features
from ..engine.checkpoint import load, save
from ..engine.gf_unet import GFUNet
from ..engine.t1diff import T1Diff, T1DiffConfig
from ..phantom.draws import SEEDS
from .loop import Run
from .rendered import ROI_PIXEL_MM, engine_batch, engine_inputs, flip_and_turn, inner_wall
from .replay import Pool, Renderer
from .segmented import predicted_masks

STEPS_PER_RENDER = 3
"""Training steps between two rendered batches: a heart is seen three times, in different views."""


LATER_SEEDS = 5_100_000
"""Where a run that starts from trained weights begins in the training range: at hearts not yet seen."""

MEAN_SHARE = 0.7
"""Share of the budget in which a residual model learns its mean alone. Diffusion learns a mean far
slower than regression does, and only around a good mean is the residual what it has to learn."""


class MeanStep(nn.Module):
    """First stage of a residual model: E_m, the morphology encoder and the mean decoder.

    Its target is the map that the same anatomy would have in an average person, without noise: what
    this person's tissue times and the scan's noise add, no cine knows, and in a finite training it
    drowns what a cine does know. The diffusion learns that part, as the spread that it is.
    """

    def __init__(self, model: T1Diff):
        super().__init__()
        self.model = model

    def forward(self, cine, soft_ed, soft_es, target, weight):
        return self.model.mean_loss(self.model.encode(cine, soft_ed, soft_es), target, weight)


class DiffusionStep(nn.Module):
    """Conditions and Eq. 6; a residual model's conditions stand still meanwhile, the others learn."""

    def __init__(self, model: T1Diff):
        super().__init__()
        self.model = model

    def forward(self, cine, soft_ed, soft_es, target, weight):
        with torch.set_grad_enabled(self.model.mean is None):
            conditions = self.model.encode(cine, soft_ed, soft_es)
        draws = 1 if self.model.mean is None else 2
        return self.model.training_step_losses(conditions, target, weight, draws_per_slice=draws)[
            "diffusion_loss"
        ]


@dataclass
class Validation:
    """Fixed validation hearts and what a map is measured by while training goes on."""

    inputs: dict
    labels: torch.Tensor

    @classmethod
    def rendered(cls, phases: int, segmenter: GFUNet | None, batches: int = 6) -> Validation:
        start = SEEDS["validation"].start + 1000
        parts, labels = [], []
        for i in range(batches):
            seeds = list(range(start + 16 * i, start + 16 * (i + 1)))
            batch = engine_batch(seeds, wide=i % 3 == 0, phases=phases)
            predicted = None if segmenter is None else predicted_masks(segmenter, batch)
            parts.append(engine_inputs(batch, torch.Generator().manual_seed(i), predicted))
            labels.append(batch["labels_t1"])
        inputs = {k: torch.cat([p[k] for p in parts]) for k in parts[0]}
        return cls(inputs, torch.cat(labels))

    def measure(self, maps_ms: torch.Tensor) -> dict[str, float]:
        """RMSE (ms) of maps (N, H, W) in the inner wall, and R of its 11 mm block means with the scan's."""
        truth = self.inputs["t1_ms"][:, 0]
        wall = inner_wall(self.labels)
        error = (maps_ms - truth)[wall]
        weight = wall.float()[:, None]
        sums = [nn.functional.avg_pool2d(m[:, None] * weight, 8) for m in (maps_ms, truth)]
        count = nn.functional.avg_pool2d(weight, 8)
        full = count > 0.15
        a, b = (s[full] / count[full] for s in sums)
        r = torch.corrcoef(torch.stack([a, b]))[0, 1]
        return {"rmse_ms": float(error.square().mean().sqrt()), "block_r": float(r)}


def train_synthesis(
    out: Path,
    *,
    preset: str = "fast",
    max_minutes: float = 60.0,
    batch_size: int = 16,
    lr: float = 6e-4,
    resume: bool = False,
    start: Path | None = None,
    segmenter: Path | None = None,
    device: str = "cpu",
    workers: int = 1,
    pool_size: int = 12000,
    compiled: bool = False,
    say=print,
) -> None:
    """Train T1Diff for `max_minutes` and write `out` (checkpoint folder, log.csv, state to resume).

    preset     Resources/Configs/<preset>.json
    start      a trained T1Diff's model folder to start from instead of from nothing
    segmenter  a trained GF-UNet's model folder: its masks stand in for 60 % of the true ones
    compiled   torch.compile the step: faster after minutes of compiling, needs a C++ compiler
    """
    torch.manual_seed(0)
    config = T1DiffConfig.preset(preset)
    model = T1Diff(config)
    if start is not None:
        model.load_state_dict(load(start, "t1diff").state_dict())
    model = model.to(device, memory_format=torch.channels_last)
    stages = {"mean": MeanStep(model), "diffusion": DiffusionStep(model)}
    if compiled:
        stages = {name: torch.compile(stage) for name, stage in stages.items()}
    run = Run(model, out, max_minutes, lr, resume)
    if start is not None:
        run.next_seed = LATER_SEEDS
    net = load(segmenter, "gf_unet").to(device, memory_format=torch.channels_last) if segmenter else None
    renderer = Renderer(
        partial(engine_batch, phases=config.cine_phases), run.next_seed, batch_size, workers, device
    )
    pool = Pool(pool_size, device)
    generator = torch.Generator(device).manual_seed(run.steps)
    validation = Validation.rendered(config.cine_phases, net)
    amp = partial(torch.autocast, torch.device(device).type, torch.bfloat16)

    def maps(samples: int) -> dict[str, float]:
        """Validation of the averaged weights, the ones that are released."""
        shadow = T1Diff(config).to(device, memory_format=torch.channels_last).eval()
        run.ema.into(shadow)
        means, draws = [], []
        with torch.no_grad(), amp():
            for i in range(0, len(validation.labels), 16):
                part = {k: v[i : i + 16].to(device) for k, v in validation.inputs.items()}
                conditions = shadow.encode(part["cine"], part["soft_ed"], part["soft_es"])
                if config.residual:
                    means.append(shadow.mean_ms(conditions).float().cpu())
                if config.sampler == "dpm_solver_pp_2m":
                    noise = shadow.initial_noise(0, range(i, i + len(part["cine"])), range(samples))
                    draws.append(shadow.sample(conditions, noise).float().mean(1).cpu())
        measured = {}
        if means:
            measured |= {f"mean_{k}": v for k, v in validation.measure(torch.cat(means)).items()}
        if draws:
            measured |= {f"sampled_{k}": v for k, v in validation.measure(torch.cat(draws)).items()}
        return measured

    def render(wait: bool) -> None:
        fresh = renderer.take(wait)
        if fresh is not None:
            if net is not None:
                soft_ed, soft_es = predicted_masks(net, fresh)
                fresh |= {"soft_ed": soft_ed.half(), "soft_es": soft_es.half()}
            del fresh["frame_es"]  # seen by the segmenter alone
            pool.add(fresh)

    def draw() -> dict:
        drawn = flip_and_turn(pool.draw(batch_size, generator), generator)
        predicted = (drawn.pop("soft_ed"), drawn.pop("soft_es")) if net is not None else None
        inputs = engine_inputs(drawn, generator, predicted)
        if not config.residual:  # Eq. 6 weighs every pixel alike
            inputs["weight"] = torch.ones_like(inputs["weight"])
        return inputs

    last_report, history = run.elapsed, []
    try:
        while pool.filled < 16 * batch_size:
            render(wait=True)
        while not run.finished:
            if run.steps % STEPS_PER_RENDER == 0:
                render(wait=False)
            inputs = draw()
            stage, share = stage_of(run.elapsed / run.budget, config.residual, run.stage)
            run.enter(stage)
            target = inputs["expected_ms" if stage == "mean" else "t1_ms"]
            with amp():
                loss = stages[stage](
                    inputs["cine"], inputs["soft_ed"], inputs["soft_es"],
                    model.normalise(target), inputs["weight"],
                )  # fmt: skip
            run.step(loss, share)
            history.append(float(loss.detach()))
            if run.elapsed - last_report > 240 or run.finished:
                last_report = run.elapsed
                loss = sum(history) / len(history)
                say(run.log(stage=stage, loss=loss, pool=pool.filled, **maps(2)))
                history.clear()
                run.save(renderer.next_seed)
        drawn = [draw() for _ in range(200)]
        features = torch.cat([intensity_features(d["cine"], d["soft_ed"]).cpu() for d in drawn])
    finally:
        renderer.close()
    final = T1Diff(config)
    run.ema.into(final)
    metadata = {
        "trained_on": "digital phantoms only",
        "pixel_mm": ROI_PIXEL_MM,
        "minutes": round(run.elapsed / 60, 1),
        "steps": run.steps,
        "intensity": intensity_statistics(features),
    }
    save(final, out, metadata)


def stage_of(share: float, residual: bool, present: str = "") -> tuple[str, float]:
    """(stage, share of it done) at a share of the budget: the mean first, then the diffusion.

    present  the stage that the run is in; it never goes back, as a longer budget would have it
    """
    if not residual:
        return "diffusion", share
    if share < MEAN_SHARE and present != "diffusion":
        return "mean", share / MEAN_SHARE
    return "diffusion", max(0.0, (share - MEAN_SHARE) / (1 - MEAN_SHARE))


def intensity_statistics(features: torch.Tensor) -> dict:
    """What `LoadedModel.far_from_training` compares a study with, from features (N, len(FEATURES)).

    The limit is twice the distance that one training slice in a thousand exceeds: real images differ
    from digital hearts without being beyond judgement, and what is beyond lies much farther out.
    """
    seen = features[features.isfinite().all(1)]
    mean, sd = seen.mean(0), seen.std(0)
    limit = 2 * float(torch.quantile(intensity_distance(seen, mean, sd), 0.999))
    return {
        "features": list(FEATURES),
        "mean": [round(float(v), 6) for v in mean],
        "sd": [round(float(v), 6) for v in sd],
        "limit": round(limit, 3),
    }
