"""Rendering beside training: a process that draws digital hearts, and the pool they are drawn into.

Rendering a heart costs more than one training step on it, so every render is seen several times, in
different views, before newer hearts replace it.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator

import torch
import torch.multiprocessing as mp

from ..phantom.draws import SEEDS

WIDE_EVERY = 3
"""One rendered batch in so many is of the wide distribution."""

STRETCH = 2_000_000
"""Rendering processes run through separate stretches of the training seeds, so many apart."""


def _render_forever(render: Callable, start: int, batch: int, outbox, stop) -> None:
    torch.set_num_threads(1)
    for index, seeds in enumerate(training_seeds(start, batch)):
        item = {name: value.numpy() for name, value in render(seeds, wide=index % WIDE_EVERY == 0).items()}
        # a parent that was killed sets no event: then end by ourselves
        while not stop.is_set() and mp.parent_process().is_alive():
            try:
                outbox.put((seeds[-1] + 1, item), timeout=1.0)
                break
            except queue.Full:
                continue
        else:
            outbox.cancel_join_thread()
            return


def training_seeds(start: int, batch: int) -> Iterator[list[int]]:
    """Lists of `batch` consecutive training seeds from `start`, beginning again at the range's end."""
    seeds = SEEDS["train"]
    position = start
    while True:
        if position + batch > len(seeds):
            position = 0
        yield list(seeds[position : position + batch])
        position += batch


class Renderer:
    """Renders training hearts in `workers` processes (0: in this one, on `device`, as a GPU wants).

    render(seeds, wide=bool, device=...) -> dict of tensors with the hearts along dimension 0. Every
    third batch is of the wide distribution, the rest physiological.

    share  (process, processes) of a training on several devices: each renders hearts of its own
    """

    def __init__(self, render: Callable, start: int, batch: int, workers: int, device="cpu", share=(0, 1)):
        self._render, self._batch, self._device = render, batch, device
        process, processes = share
        stretch = min(STRETCH, len(SEEDS["train"]) // (processes * max(workers, 1)))
        start += process * max(workers, 1) * stretch
        self.next_seed = start
        self._index = 0
        self._processes = []
        if workers:
            context = mp.get_context("spawn")
            self._outbox, self._stop = context.Queue(4 * workers), context.Event()
            for worker in range(workers):
                arguments = (render, start + worker * stretch, batch, self._outbox, self._stop)
                process = context.Process(target=_render_forever, args=arguments, daemon=True)
                process.start()
                self._processes.append(process)

    def take(self, wait: bool) -> dict | None:
        """The next rendered batch; None when there is none yet and `wait` is False."""
        if not self._processes:
            seeds = next(training_seeds(self.next_seed, self._batch))
            self._index += 1
            self.next_seed = seeds[-1] + 1
            return self._render(seeds, wide=self._index % WIDE_EVERY == 0, device=self._device)
        while True:
            try:
                position, item = self._outbox.get(timeout=1.0 if wait else 0.0)
            except queue.Empty:
                if not wait:
                    return None
                if not any(p.is_alive() for p in self._processes):
                    raise RuntimeError("the rendering process has stopped; see its message above") from None
                continue
            self.next_seed = max(self.next_seed, position)
            return {name: torch.from_numpy(value) for name, value in item.items()}

    def close(self) -> None:
        if self._processes:
            self._stop.set()
            for process in self._processes:
                process.terminate()


class Pool:
    """The last `capacity` rendered hearts, drawn from at random."""

    def __init__(self, capacity: int, device="cpu"):
        self.capacity, self.device = capacity, device
        self._store: dict[str, torch.Tensor] = {}
        self.filled = self._at = 0

    def add(self, batch: dict) -> None:
        n = len(next(iter(batch.values())))
        if not self._store:
            self._store = {
                k: torch.empty((self.capacity, *v.shape[1:]), dtype=v.dtype, device=self.device)
                for k, v in batch.items()
            }
        where = torch.arange(self._at, self._at + n) % self.capacity
        for name, value in batch.items():
            self._store[name][where] = value.to(self.device)
        self._at = (self._at + n) % self.capacity
        self.filled = min(self.filled + n, self.capacity)

    def draw(self, n: int, generator: torch.Generator) -> dict:
        pick = torch.randint(0, self.filled, (n,), generator=generator, device=generator.device)
        return {name: value[pick.to(value.device)] for name, value in self._store.items()}
