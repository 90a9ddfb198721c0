"""Training of GF-UNet (E_a): domain-randomised digital hearts, and real cavity labels where given."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ..anatomy.intensity import standardise
from ..engine import checkpoint
from ..engine.gf_unet import GFUNet
from ..engine.precision import inference_precision
from ..phantom.draws import SEEDS
from ..study import LV_CAVITY, LV_MYOCARDIUM, RV
from .cavity_labels import UNKNOWN, CavityLabels
from .learner import Learner
from .rendered import segmenter_batch


class Segmenter(Learner):
    """GF-UNet on batches of `stream.RenderedImages`."""

    name = "gf_unet"
    partial = False
    peak_rate = 1e-3

    def __init__(self):
        super().__init__()
        self.network = GFUNet()

    def training_losses(self, inputs: dict) -> Iterator[tuple[str, Tensor]]:
        image, labels, real = inputs["image"], inputs["labels"].long(), inputs["real"]
        logits = self.network(image[:, None].contiguous(memory_format=torch.channels_last))
        loss = segmentation_loss(logits, labels)
        if real:  # of every real slice the cavity is known, and what is not cavity
            loss = loss + 0.5 * cavity_loss(logits[-real:], labels[-real:] == LV_CAVITY)
        yield "network", loss

    def save(self, folder: Path, metadata: dict) -> None:
        checkpoint.save(self.network, folder, metadata)


class SegmenterValidation:
    """Fixed digital hearts, and the held-back subjects of `cavity_labels` where there are any."""

    def __init__(self, cavity_labels: Path | None, device: torch.device):
        parts = [
            segmenter_batch(list(SEEDS["validation"][i : i + 16]), wide=i % 32 != 0) for i in range(0, 64, 16)
        ]
        self.images = torch.cat([p["image"] for p in parts]).float()
        self.labels = torch.cat([p["labels"] for p in parts]).long()
        self.device = device
        self.held = CavityLabels(cavity_labels, held_back=True) if cavity_labels else None

    def measure(self, learner: Segmenter) -> dict[str, float]:
        """Pooled Dice of each structure."""
        found = self._predict(learner.network, self.images)
        names = {"rv": RV, "myo": LV_MYOCARDIUM, "cavity": LV_CAVITY}
        row = {f"dice_{name}": hard_dice(found, self.labels, label) for name, label in names.items()}
        if self.held is not None:
            crops, labels = self.held.crops(96, torch.Generator().manual_seed(5))
            found = self._predict(learner.network, crops / 255)
            row["dice_real_cavity"] = hard_dice(found, labels, LV_CAVITY)
        return row

    @torch.no_grad()
    def _predict(self, network: GFUNet, images: Tensor) -> Tensor:
        with inference_precision(self.device):
            parts = standardise(images).split(16)
            return torch.cat([network(part[:, None].to(self.device)).argmax(1).cpu() for part in parts])


def segmentation_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """0.8 · cross entropy + 1.2 · soft Dice without background (Li et al. 2023).

    logits (B, 4, H, W), labels (B, H, W), of which UNKNOWN counts nowhere. Dice is pooled over the batch,
    so that a slice without a structure counts by its false positives.
    """
    logits = logits.float()
    known = (labels != UNKNOWN)[:, None]
    entropy = F.cross_entropy(logits, labels, ignore_index=UNKNOWN)
    p = logits.softmax(1)[:, 1:] * known
    truth = F.one_hot(torch.where(known[:, 0], labels, 0), 4).permute(0, 3, 1, 2)[:, 1:].float()
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


def hard_dice(prediction: torch.Tensor, truth: torch.Tensor, label: int) -> float:
    """Pooled Dice of one label over all given slices; 1 when neither has it."""
    a, b = prediction == label, truth == label
    total = (a.sum() + b.sum()).item()
    return 1.0 if total == 0 else 2 * (a & b).sum().item() / total
