"""The rendered streams as training data: digital hearts drawn while the network learns from them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch

from ..anatomy.intensity import standardise
from ..engine.gf_unet import GFUNet
from .appearance import randomised
from .cavity_labels import CavityLabels
from .data import TrainingData
from .rendered import ROI_PIXEL_MM, engine_batch, engine_inputs, flip_and_turn, segmenter_batch
from .replay import Pool, Renderer
from .segmented import predicted_masks

POOL_SIZE = 12000
"""Hearts that are kept to be seen again in other views, newest first."""


class RenderedData(TrainingData):
    """A stream of renders, each seen `VIEWS` times on average before newer ones replace it.

    render   called with seeds, wide and device; a batch of tensors
    workers  rendering processes beside each training process; 0 renders on the device of training
    """

    VIEWS = 1

    def __init__(self, render, batch_size: int, seed: int, workers: int, pool_size: int = POOL_SIZE):
        super().__init__(batch_size, seed)
        self._render, self._workers, self._pool_size = render, workers, pool_size
        self._renderer: Renderer | None = None
        self._pool: Pool | None = None

    def drawn(self) -> Iterator[tuple[dict, torch.Generator]]:
        """Hearts from the pool in a random view, and the randomness that is left for this batch."""
        if self._renderer is None:
            share, start = (self.process, self.processes), self.progress.next_seed
            self._renderer = Renderer(self._render, start, self.own_size, self._workers, self.device, share)
            self._pool = Pool(self._pool_size, self.device)
        pool, number = self._pool, self.progress.updates
        while True:
            filling = pool.filled < min(16 * self.own_size, self._pool_size)
            if filling or number % self.VIEWS == 0:
                fresh = self._renderer.take(wait=filling)
                if fresh is not None:
                    pool.add(self.prepared(fresh))
                    self.progress.next_seed = self._renderer.next_seed
            if not filling:
                generator = self.generator(number, self.process)
                yield flip_and_turn(pool.draw(self.own_size, generator), generator), generator
                number += 1

    def prepared(self, fresh: dict) -> dict:
        """What of a render goes into the pool."""
        return fresh

    def teardown(self, stage: str) -> None:
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = self._pool = None


class RenderedPairs(RenderedData):
    """Cine and T1 map of digital hearts, as `engine_inputs` gives them.

    segmenter  a trained GF-UNet, whose masks stand in for most of the true ones; None uses none
    """

    VIEWS = 3
    origin = "digital phantoms only"
    pixel_mm = ROI_PIXEL_MM

    def __init__(self, phases: int, segmenter: GFUNet | None, batch_size: int, seed: int, workers: int):
        super().__init__(partial(engine_batch, phases=phases), batch_size, seed, workers)
        self._segmenter = segmenter

    def setup(self, stage: str) -> None:
        if self._segmenter is not None:
            self._segmenter.to(self.device, memory_format=torch.channels_last)

    def prepared(self, fresh: dict) -> dict:
        if self._segmenter is not None:
            soft_ed, soft_es = predicted_masks(self._segmenter, fresh)
            fresh |= {"soft_ed": soft_ed.half(), "soft_es": soft_es.half()}
        del fresh["frame_es"]  # seen by the segmenter alone
        return fresh

    def batches(self) -> Iterator[dict]:
        for hearts, generator in self.drawn():
            masks = (hearts.pop("soft_ed"), hearts.pop("soft_es")) if self._segmenter is not None else None
            yield engine_inputs(hearts, generator, masks)


class RenderedImages(RenderedData):
    """Short-axis images and T1 maps of digital hearts anywhere in the field, with their labels.

    cavity_labels  .npz of real slices of which only the LV cavity is known (CavityLabels), as many as
                   hearts; None uses none
    teacher        completes these labels (CavityLabels.complete); None leaves the rest unknown

    A batch is image (N, H, W) standardised, labels (N, H, W) with UNKNOWN among them, and real, how many
    of the N are real: the last ones.
    """

    VIEWS = 4  # a batch of 16 hearts is 32 images or more

    def __init__(
        self, cavity_labels: Path | None, teacher: GFUNet | None, batch_size: int, seed: int, workers: int
    ):
        super().__init__(segmenter_batch, batch_size, seed, workers)
        self._real = CavityLabels(cavity_labels, held_back=False) if cavity_labels else None
        if self._real is not None and teacher is not None:
            self._real.complete(teacher)
        real = " and Sunnybrook LV cavity labels" if self._real else " only"
        self.origin = "digital phantoms" + real

    def batches(self) -> Iterator[dict]:
        for hearts, generator in self.drawn():
            image, labels, real = hearts["image"].float(), hearts["labels"], 0
            if self._real is not None:
                on_cpu = torch.Generator().manual_seed(generator.initial_seed() + 1)
                real = self.own_size
                crops, known = self._real.crops(real, on_cpu, deformed=True)
                image = torch.cat([image, crops.to(self.device)])
                labels = torch.cat([labels, known.to(self.device)])
            top = torch.quantile(image.flatten(1), 0.98, dim=1).clamp_min(1e-3)[:, None, None]
            image = image / top
            yield {"image": standardise(randomised(image, generator)), "labels": labels, "real": real}
