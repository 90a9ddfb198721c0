"""Training of GF-UNet (E_a): domain-randomised digital hearts, and real cavity labels where given."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from ..anatomy.intensity import standardise
from ..engine.checkpoint import save
from ..engine.gf_unet import GFUNet
from ..errors import StudyError
from ..phantom.draws import SEEDS
from ..phantom.planes import gaussian_blur
from ..study import LV_CAVITY, LV_MYOCARDIUM, RV
from .loop import Run
from .rendered import flip_and_turn, random_gamma, segmenter_batch
from .replay import Pool, Renderer

STEPS_PER_RENDER = 4
"""Training steps between two rendered batches (each of 32 images or more): a render is seen twice."""

HELD_BACK_EVERY = 5
"""Every fifth real subject by name (all four disease groups) is never trained on."""


def segmentation_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """0.8 · cross entropy + 1.2 · soft Dice without background (Li et al. 2023).

    logits (B, 4, H, W), labels (B, H, W). Dice is pooled over the batch, so that a slice without a
    structure counts by its false positives.
    """
    logits = logits.float()
    entropy = F.cross_entropy(logits, labels)
    p = logits.softmax(1)[:, 1:]
    truth = F.one_hot(labels, 4).permute(0, 3, 1, 2)[:, 1:].float()
    overlap = (p * truth).sum((0, 2, 3))
    dice = (2 * overlap + 1e-5) / (p.sum((0, 2, 3)) + truth.sum((0, 2, 3)) + 1e-5)
    return 0.8 * entropy + 1.2 * (1 - dice.mean())


def cavity_loss(logits: torch.Tensor, cavity: torch.Tensor) -> torch.Tensor:
    """The same loss where only the LV cavity is labelled (partial labels).

    The other classes are merged into their sum: a pixel outside the cavity may be anything but
    cavity, and nothing is said of which. A thin ring outside the cavity is muscle, not
    background: no LV cavity touches lung, so background is discouraged there.

    logits (B, 4, H, W), cavity (B, H, W) bool.
    """
    log_p = logits.float().log_softmax(1)
    rest = torch.logsumexp(log_p[:, [0, RV, LV_MYOCARDIUM]], dim=1)
    truth = cavity.float()
    entropy = -(truth * log_p[:, LV_CAVITY] + (1 - truth) * rest).mean()
    p = log_p[:, LV_CAVITY].exp()
    dice = (2 * (p * truth).sum() + 1e-5) / (p.sum() + truth.sum() + 1e-5)
    ring = (F.max_pool2d(truth[:, None], 5, 1, 2)[:, 0] - truth) > 0.5
    not_muscle = -log_p[:, LV_MYOCARDIUM][ring].mean() if ring.any() else log_p.sum() * 0
    return 0.8 * entropy + 1.2 * (1 - dice) + 0.1 * not_muscle


class CavityLabels:
    """Real slices with cavity labels only: an .npz with `image` (N, R, C), `endocardium` (N, R, C/8
    packed bits) and `name` (subject and image), 1.25 mm pixels (Radau et al. 2009)."""

    PIXEL_MM = 1.25

    def __init__(self, path: Path, held_back: bool):
        try:
            with np.load(path, allow_pickle=False) as data:
                images, packed = data["image"], data["endocardium"]
                names = data["name"]
        except (OSError, KeyError, ValueError) as error:
            raise StudyError(f"{path} is not a set of cavity labels ({error}).") from None
        self.masks = torch.from_numpy(np.unpackbits(packed, axis=-1)[..., : images.shape[-1]])
        self.images = torch.from_numpy(images.astype(np.float32))
        subjects = np.array([subject_of(str(n)) for n in names])
        apart = sorted(set(subjects))[::HELD_BACK_EVERY]
        chosen = np.flatnonzero(np.isin(subjects, apart) == held_back)
        self.images, self.masks = self.images[chosen], self.masks[chosen]
        self.subjects = subjects[chosen]

    def crops(self, n: int, generator: torch.Generator, size: int = 128) -> tuple[torch.Tensor, torch.Tensor]:
        """Random crops (n, size, size) and cavity masks, turned, scaled and shifted as the rendered are."""
        pick = torch.randint(0, len(self.images), (n,), generator=generator)
        images, masks = self.images[pick], self.masks[pick].float()
        h, w = images.shape[1:]

        def rand(low, high):
            return low + (high - low) * torch.rand(n, generator=generator)

        pixel = torch.where(rand(0, 1) < 0.6, rand(1.1, 1.75), rand(1.6, 3.0))
        angle = rand(-3.14159, 3.14159) * (rand(0, 1) < 0.5) + rand(-0.3, 0.3)
        mirror = 1 - 2 * (rand(0, 1) < 0.5).float()
        rows, columns = torch.arange(h).float(), torch.arange(w).float()
        area = masks.sum((1, 2)).clamp_min(1)
        row = (masks.sum(2) * rows).sum(1) / area
        column = (masks.sum(1) * columns).sum(1) / area
        reach = torch.where(pixel > 1.75, 0.28 * size * pixel, torch.full_like(pixel, 16.0)) / self.PIXEL_MM
        row, column = row + rand(-1, 1) * reach, column + rand(-1, 1) * reach
        scale = pixel / self.PIXEL_MM
        axis = torch.arange(size) - (size - 1) / 2
        v, u = torch.meshgrid(axis, axis, indexing="ij")
        u, v = u[None] * (scale * mirror)[:, None, None], v[None] * scale[:, None, None]
        cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
        x = column[:, None, None] + u * cos - v * sin
        y = row[:, None, None] + u * sin + v * cos
        grid = torch.stack([2 * x / (w - 1) - 1, 2 * y / (h - 1) - 1], -1)
        blurred = gaussian_blur(images[:, None], (0.4 * scale).clamp_max(1.2))
        crops = F.grid_sample(blurred, grid, align_corners=True)[:, 0]
        cavity = F.grid_sample(masks[:, None], grid, align_corners=True)[:, 0] > 0.5
        return crops, cavity


def subject_of(name: str) -> str:
    """Subject part of an image name such as 'SC-HF-I-09-IM-0001-0007'."""
    return name.split("-IM-")[0]


def hard_dice(prediction: torch.Tensor, truth: torch.Tensor, label: int) -> float:
    """Pooled Dice of one label over all given slices; 1 when neither has it."""
    a, b = prediction == label, truth == label
    total = (a.sum() + b.sum()).item()
    return 1.0 if total == 0 else 2 * (a & b).sum().item() / total


def train_segmenter(
    out: Path,
    *,
    max_minutes: float = 30.0,
    batch_size: int = 16,
    lr: float = 1e-3,
    resume: bool = False,
    cavity_labels: Path | None = None,
    device: str = "cpu",
    workers: int = 1,
    pool_size: int = 12000,
    compiled: bool = False,
    say=print,
) -> None:
    """Train GF-UNet for `max_minutes` and write `out` (checkpoint folder, log.csv, state to resume).

    cavity_labels  optional .npz of real partial labels (see CavityLabels); a third of each batch
    compiled       torch.compile the network: faster after minutes of compiling, needs a C++ compiler
    """
    torch.manual_seed(0)
    model = GFUNet().to(device, memory_format=torch.channels_last)
    forward = torch.compile(model) if compiled else model
    run = Run(model, out, max_minutes, lr, resume)
    renderer = Renderer(segmenter_batch, run.next_seed, batch_size, workers, device)
    pool = Pool(pool_size, device)
    generator = torch.Generator(device).manual_seed(run.steps)
    real_generator = torch.Generator().manual_seed(run.steps + 1)
    real = CavityLabels(cavity_labels, held_back=False) if cavity_labels else None
    held = CavityLabels(cavity_labels, held_back=True) if cavity_labels else None
    valid = [
        segmenter_batch(list(SEEDS["validation"][i : i + 16]), wide=i % 32 != 0) for i in range(0, 64, 16)
    ]
    images = torch.cat([v["image"] for v in valid]).float()
    labels = torch.cat([v["labels"] for v in valid]).long()
    amp = partial(torch.autocast, torch.device(device).type, torch.bfloat16)

    def predict(x):
        shadow = GFUNet().to(device, memory_format=torch.channels_last).eval()
        run.ema.into(shadow)
        with torch.no_grad(), amp():
            return torch.cat(
                [shadow(c[:, None].to(device)).argmax(1).cpu() for c in standardise(x).split(16)]
            )

    last_report = run.elapsed
    running = []
    try:
        while not run.finished:
            filling = pool.filled < 16 * batch_size
            fresh = renderer.take(wait=filling) if filling or run.steps % STEPS_PER_RENDER == 0 else None
            if fresh is not None:
                pool.add(fresh)
            if filling:
                continue
            drawn = flip_and_turn(pool.draw(batch_size, generator), generator)
            image = drawn["image"].float()
            top = torch.quantile(image.flatten(1), 0.98, dim=1).clamp_min(1e-3)[:, None, None]
            image = standardise(random_gamma(image / top, generator))
            if real is not None:
                crops, cavity = real.crops(batch_size // 2, real_generator)
                crops, cavity = crops.to(device), cavity.to(device)
                crops = standardise(random_gamma(crops / 255, generator))
                image = torch.cat([image, crops])
            with amp():
                logits = forward(image[:, None].contiguous(memory_format=torch.channels_last))
            loss = segmentation_loss(logits[:batch_size], drawn["labels"].long())
            if real is not None:
                loss = loss + 0.5 * cavity_loss(logits[batch_size:], cavity)
            run.step(loss)
            running.append(float(loss.detach()))
            if run.elapsed - last_report > 180 or run.finished:
                last_report = run.elapsed
                found = predict(images)
                row = {
                    f"dice_{n}": hard_dice(found, labels, k)
                    for k, n in ((1, "rv"), (2, "myo"), (3, "cavity"))
                }
                if held is not None:
                    crops, cavity = held.crops(96, torch.Generator().manual_seed(5))
                    row["dice_real_cavity"] = hard_dice(predict(crops / 255) * 1, cavity * 3, LV_CAVITY)
                say(run.log(loss=sum(running) / len(running), pool=pool.filled, **row))
                running.clear()
                run.save(renderer.next_seed)
    finally:
        renderer.close()
    final = GFUNet()
    run.ema.into(final)
    metadata = {
        "trained_on": "digital phantoms" + (" and Sunnybrook LV cavity labels" if real else " only"),
        "minutes": round(run.elapsed / 60, 1),
        "steps": run.steps,
    }
    save(final, out, metadata)
