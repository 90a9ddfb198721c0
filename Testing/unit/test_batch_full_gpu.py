"""A whole study on a GPU whose memory is too small: smaller batches, then the CPU, told where people look.

The GPU is the CPU under its name; torch's own error comes out of the network's own operations as soon as more
maps are at work at once than are said to fit. A real full GPU is in test_batch_memory, where there is one.
"""

import csv
import json

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from T1DiffLogic import model, segmentation, synthesis
from T1DiffLogic.batch import memory
from T1DiffLogic.batch.run import BatchOptions, run_batch
from T1DiffLogic.phantom.draws import patient_seed
from T1DiffLogic.phantom.patient import digital_patient
from T1DiffLogic.progress import Reporter
from T1DiffLogic.sampling import draw_samples
from T1DiffLogic.study import Cine
from T1DiffLogic.study_files import CINE_SUFFIX, write_cine

OPTIONS = {"samples": 2, "steps": 2, "seed": 5, "device": "cuda"}


class SmallGpu(TorchDispatchMode):
    """Holds the activations (B, C, H, W) of `fits` maps; `asked` lists the devices of the attempts."""

    def __init__(self, fits):
        super().__init__()
        self.fits, self.asked = fits, []

    def chosen_device(self, name):
        self.asked.append(name)
        return torch.device("cpu")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        is_activation = isinstance(made, torch.Tensor) and made.dim() == 4 and min(made.shape[-2:]) >= 8
        if self.asked[-1] == "cuda" and is_activation and len(made) > self.fits:
            raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {made.nbytes} bytes.")
        return made


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    full = digital_patient(patient_seed("test", 42), phases=8, infarcted=True).cine
    keep = slice(full.n_slices // 2 - 1, full.n_slices // 2 + 2)
    cine = Cine(full.images[keep], full.geometries[keep], full.trigger_ms[keep], full.source)
    write_cine(cine, folder / f"study{CINE_SUFFIX}")
    return folder


@pytest.fixture
def run(cohort, tmp_path, monkeypatch):
    """run(fits): (the GPU, row of summary.csv, batch.log, folder) of a batch where `fits` maps fit."""

    def batch(fits):
        gpu = SmallGpu(fits)
        # 3 slices × 2 samples are 6 maps, so that each step down is a smaller batch
        monkeypatch.setattr(memory, "SMALLER_BATCHES", (4, 2))
        monkeypatch.setattr(torch.cuda, "set_device", lambda _ordinal: None)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
        monkeypatch.setattr(memory, "chosen_device", lambda _name: torch.device("cuda"))
        for room in (model, segmentation):
            monkeypatch.setattr(room, "chosen_device", gpu.chosen_device)

        def on_the_gpu(*arguments):
            with gpu:
                return draw_samples(*arguments)

        monkeypatch.setattr(synthesis, "draw_samples", on_the_gpu)
        out = tmp_path / f"out_{fits}"
        result = run_batch(cohort, out, OPTIONS, BatchOptions(workers=0), Reporter("none"))
        with (out / "summary.csv").open(newline="", encoding="utf-8") as file:
            (row,) = csv.DictReader(file)
        assert result.ok == 1, row["reason"]
        return gpu, row, (out / "batch.log").read_text(encoding="utf-8"), out / row["study"]

    return batch


def test_smaller_batches_and_then_the_cpu_give_the_same_map(run):
    told = [f"GPU memory ran out; tried again with {maps} maps at once" for maps in (4, 2)]
    last = "GPU memory ran out; done on the CPU instead"
    gpu, row, log, small = run(fits=2)
    assert set(gpu.asked) == {"cuda"} and len(gpu.asked) == 3, "in three attempts"
    assert row["remarks"] == "; ".join(told) and all(sentence in log for sentence in told)
    assert last not in log
    gpu, row, log, cpu = run(fits=0)
    assert gpu.asked == ["cuda"] * 3 + ["cpu"]
    assert row["remarks"] == "; ".join([*told, last]) and last in log and row["device"] == "cpu"
    assert json.loads((cpu / "batch.json").read_text(encoding="utf-8"))["log"] == [*told, last]
    one, other = (sitk.GetArrayFromImage(sitk.ReadImage(str(f / "t1_map.nrrd"))) for f in (small, cpu))
    assert one.any()
    # noise belongs to the slice and the sample, whatever shares a batch
    np.testing.assert_allclose(one, other, atol=0.05)
