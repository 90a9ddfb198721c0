"""The rendered streams: batches of digital hearts as the two networks see them.

Nothing is read from disk; a batch is a function of its seeds. Both streams mix the wide and the
physiological distribution, so that what follows published numbers is inside and not at the rim.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ..anatomy.intensity import T1_CEILING_MS
from ..anatomy.normalisation import normalise_cine
from ..anatomy.phase_sampling import phase_fractions
from ..engine.views import turned
from ..phantom.draws import Draws
from ..phantom.hearts import sample_hearts
from ..phantom.motion import build_ventricles
from ..phantom.planes import Planes, gaussian_blur, smooth_field
from ..phantom.render import DigitalScan
from ..study import LV_MYOCARDIUM

ROI_PIXEL_MM, ROI_SIZE = 1.4, 128


def _planes(d: Draws, length: torch.Tensor, *, anywhere: bool) -> Planes:
    """Random short-axis planes: LV-centred at 1.4 mm for the engine, anywhere at any scale for E_a."""
    n = len(length)
    upright = d.chance(0.5 if anywhere else 0.7)
    view = torch.lerp(d.uniform(-180, 180), d.normal(0, 22), upright)
    if anywhere:
        fine = d.chance(0.6)
        pixel = torch.lerp(d.log_uniform(1.6, 3.3), d.uniform(1.1, 1.75), fine)
        # a coarse field holds the heart anywhere, a fine one (second look) holds it near the middle
        reach = torch.lerp(0.30 * ROI_SIZE * pixel, torch.full_like(pixel, 16.0), fine)
        centre = torch.stack([d.uniform(-1, 1) * reach, d.uniform(-1, 1) * reach], -1)
        height = length * d.uniform(-0.10, 1.18)
    else:
        pixel = torch.full((n,), ROI_PIXEL_MM, device=length.device)
        centre = torch.stack([d.normal(0, 3.0), d.normal(0, 3.0)], -1)
        height = length * d.uniform(0.05, 1.0)
    return Planes(
        height=height,
        thickness=d.uniform(5, 10),
        pixel=pixel,
        centre=centre,
        rotation=d.normal(0, 14),
        mirrored=d.chance(0.5),
        view=view,
        size=ROI_SIZE,
    )


def _scan(seeds, wide: bool, device, *, anywhere: bool) -> DigitalScan:
    hearts = sample_hearts(seeds, wide=wide, device=device)
    d = Draws([int(s) ^ 0x9A0000 for s in seeds], device)
    planes = _planes(d, build_ventricles(hearts).length, anywhere=anywhere)
    return DigitalScan(hearts, planes, fields="shared")


@torch.no_grad()
def engine_batch(seeds, *, wide: bool, phases: int, device="cpu") -> dict[str, torch.Tensor]:
    """One batch for T1Diff: LV-centred 128×128 crops at 1.4 mm.

    Returns cine (B, P, H, W) float16 in scanner units, P frames as `engine_phases` picks them;
    frame_es (B, H, W) float16, the ES frame whether or not it is among them;
    labels_ed, labels_es (B, H, W) uint8; t1 (B, H, W) float16 ms; labels_t1 (B, H, W) uint8;
    t1_expected (B, H, W) float16 ms: the same anatomy in an average person, without noise.
    """
    scan = _scan(seeds, wide, device, anywhere=False)
    systole = scan.hearts.systole[:, None]
    fractions = torch.as_tensor(phase_fractions(phases), dtype=torch.float32, device=device)[None]
    cycle = torch.where(fractions <= 1, fractions * systole, systole + (fractions - 1) * (1 - systole))
    times = cycle + scan.hearts.r_delay[:, None]
    if phases == 1:  # ES is still needed for its mask
        times = torch.cat([times, systole + scan.hearts.r_delay[:, None]], dim=1)
    # the marked phase is seldom the exact extremum
    wobble = torch.rand(times.shape, generator=_cpu_generator(seeds, 1)).to(times) - 0.5
    frames, labels = scan.cine(times + 0.03 * wobble)
    # pairs are aligned by the LV; what is left of a shift would only teach the map to be blurred
    t1, labels_t1 = scan.molli(misregistration=0.0)
    expected, _ = scan.molli(misregistration=0.0, noise=False, average=True)
    es = 1 if phases == 1 else phases - 2
    return {
        "cine": frames[:, :phases].half(),
        "frame_es": frames[:, es].half(),
        "labels_ed": labels[:, 0],
        "labels_es": labels[:, es],
        "t1": t1.half(),
        "t1_expected": expected.half(),
        "labels_t1": labels_t1,
    }


@torch.no_grad()
def segmenter_batch(seeds, *, wide: bool, device="cpu", t1_share: float = 0.15) -> dict[str, torch.Tensor]:
    """One batch for GF-UNet: two random phases of each heart, or its T1 map.

    Returns image (2B or 2B + B·share, H, W) float16 and labels uint8 alike.
    """
    scan = _scan(seeds, wide, device, anywhere=True)
    generator = _cpu_generator(seeds, 2)
    times = torch.rand(len(seeds), 2, generator=generator)
    extreme = torch.rand(len(seeds), generator=generator) < 0.5
    times[extreme, 0] = scan.hearts.r_delay.cpu()[extreme]
    times[extreme, 1] = scan.hearts.systole.cpu()[extreme]
    frames, labels = scan.cine(times.to(device))
    images, targets = frames.flatten(0, 1), labels.flatten(0, 1)
    if torch.rand((), generator=generator) < 2 * t1_share:
        t1, labels_t1 = scan.molli()
        images, targets = (
            torch.cat([images, t1.clamp_max(T1_CEILING_MS) / 1000]),
            torch.cat([targets, labels_t1]),
        )
    return {"image": images.half(), "labels": targets}


def _cpu_generator(seeds, purpose: int) -> torch.Generator:
    return torch.Generator().manual_seed((int(seeds[0]) * 8 + purpose) % (2**62))


def soften_masks(labels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """(B, H, W) true labels -> (B, 4, H, W) probabilities as an imperfect segmenter would give them.

    Outlines are displaced by a smooth field of about a pixel and blurred, and every structure grows
    or shrinks a little at its neighbours' cost, as an observer who traces thick or thin walls; a third
    stay hard, as a clinician's corrected contours are.
    """
    b, h, w = labels.shape
    device = labels.device
    masks = F.one_hot(labels.long(), 4).permute(0, 3, 1, 2).float()
    amplitude = torch.rand(b, 1, 1, 1, generator=generator, device=device) * 1.1
    shift = smooth_field(generator, b, 2, 6, h) * amplitude * (2 / h)
    axis = torch.linspace(-1, 1, h, device=device)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1)[None] + shift.permute(0, 2, 3, 1)
    masks = F.grid_sample(masks, grid, padding_mode="border", align_corners=True)
    # where a blurred outline crosses one half moves with the odds
    odds = torch.exp(0.6 * torch.randn(b, 4, 1, 1, generator=generator, device=device))
    masks = gaussian_blur(masks, torch.full((b,), 1.0, device=device)) * odds
    masks = masks / masks.sum(1, keepdim=True).clamp_min(1e-6)
    sigma = 0.3 + 0.7 * torch.rand(b, generator=generator, device=device)
    soft = gaussian_blur(masks, sigma)
    hard = F.one_hot(masks.argmax(1), 4).permute(0, 3, 1, 2).float()
    keep_hard = torch.rand(b, 1, 1, 1, generator=generator, device=device) < 0.35
    masks = torch.where(keep_hard, hard, soft)
    return masks / masks.sum(1, keepdim=True).clamp_min(1e-6)


WEIGHTS = torch.tensor([0.03, 0.10, 0.5, 0.15])
"""Loss weight per label of the T1 map: the myocardium is what the map is for; the noise of air
and lung, which no network can know, hardly counts."""

INNER_WALL_WEIGHT = 2.0
"""Loss weight where the wall is wall all around: what a reader measures, and free of partial volume."""


def engine_inputs(batch: dict, generator: torch.Generator, predicted: tuple | None = None) -> dict:
    """What T1Diff is trained on, from one rendered batch.

    predicted  None, or (soft_ed, soft_es) of the segmenter, (B, 4, H, W) each, used for 60 % of the
               slices in place of softened true masks
    Returns cine (B, P, H, W), soft_ed, soft_es (B, 4, H, W), t1_ms, expected_ms and weight
    (B, 1, H, W), float32; weight is 0 where the T1 map has no value.
    """
    soft_ed = soften_masks(batch["labels_ed"], generator)
    soft_es = soften_masks(batch["labels_es"], generator)
    if predicted is not None:
        pick = torch.rand(len(soft_ed), 1, 1, 1, generator=generator, device=soft_ed.device) < 0.6
        soft_ed, soft_es = (torch.where(pick, p.float(), s) for p, s in zip(predicted, (soft_ed, soft_es)))
    cine = batch["cine"].float()
    sigma = torch.rand(len(cine), 1, 1, 1, generator=generator, device=cine.device) * 0.02
    gain = torch.rand(len(cine), 1, 1, 1, generator=generator, device=cine.device) * 0.1 + 0.95
    # a study is interpolated to this grid, which blurs its noise, too, and coils shade it smoothly
    smoothing = torch.rand(len(cine), generator=generator, device=cine.device) * 0.7
    cine = gaussian_blur(cine, smoothing)
    shading = torch.rand(len(cine), 1, 1, 1, generator=generator, device=cine.device) * 0.1
    cine = cine * torch.exp(shading * smooth_field(generator, len(cine), 1, 0, cine.shape[-1]))
    cine = normalise_cine(cine, soft_ed) * gain
    cine = cine + sigma * torch.randn(cine.shape, generator=generator, device=cine.device)
    return _inputs(cine, soft_ed, soft_es, batch)


def plain_inputs(batch: dict) -> dict:
    """The same of a batch that holds the segmenter's soft_ed and soft_es (B, 4, H, W), as in use:
    these masks, and the cine normalised and nothing else."""
    soft_ed, soft_es = batch["soft_ed"].float(), batch["soft_es"].float()
    return _inputs(normalise_cine(batch["cine"].float(), soft_ed), soft_ed, soft_es, batch)


def _inputs(cine: torch.Tensor, soft_ed: torch.Tensor, soft_es: torch.Tensor, batch: dict) -> dict:
    t1 = batch["t1"].float()[:, None]
    weight = WEIGHTS.to(cine.device)[batch["labels_t1"].long()][:, None]
    weight = torch.where(inner_wall(batch["labels_t1"])[:, None], INNER_WALL_WEIGHT, weight)
    return {
        "cine": cine,
        "soft_ed": soft_ed,
        "soft_es": soft_es,
        "t1_ms": t1,
        "expected_ms": batch["t1_expected"].float()[:, None],
        "weight": weight * (t1 > 0),  # 0 ms is no value
    }


def inner_wall(labels: torch.Tensor) -> torch.Tensor:
    """(B, H, W) labels -> bool: LV myocardium whose eight neighbours are myocardium, too."""
    wall = (labels == LV_MYOCARDIUM).float()[:, None]
    return -F.max_pool2d(-wall, 3, 1, 1)[:, 0] > 0.5


def flip_and_turn(batch: dict, generator: torch.Generator) -> dict:
    """The batch turned by a random multiple of 90° and perhaps mirrored: eight views of each render."""
    turns = int(torch.randint(0, 4, (), generator=generator, device=generator.device))
    mirror = int(torch.randint(0, 2, (), generator=generator, device=generator.device))
    return {name: turned(value, turns + 4 * mirror).contiguous() for name, value in batch.items()}
