"""A full GPU costs a smaller batch, then the CPU; and many studies need no more memory than few."""

import io
import tracemalloc

import pytest
import torch
from batch_cases import cohort_of, paint

from T1DiffLogic.batch.memory import SMALLER_BATCHES, is_gpu_memory, rungs_for, with_less_memory
from T1DiffLogic.batch.run import BatchOptions, run_batch
from T1DiffLogic.errors import StudyError, UsageError
from T1DiffLogic.options import SynthesisOptions
from T1DiffLogic.progress import Reporter
from T1DiffLogic.sampling import MAPS_AT_ONCE

RUNGS = [("cuda", None), ("cuda", 64), ("cuda", 16), ("cpu", None)]
FULL = torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def climbing(fits, error=FULL):
    """(what was tried, what was said, the outcome) where only the rungs in `fits` have the memory."""
    tried, said = [], []

    def attempt(*rung):
        tried.append(rung)
        if rung not in fits:
            raise error
        return f"done on {rung[0]}"

    return tried, said, lambda: with_less_memory(attempt, RUNGS, said.append)


def test_each_step_down_is_said():
    tried, said, climb = climbing([RUNGS[-1]])
    assert climb() == "done on cpu" and tried == RUNGS
    assert [sentence.split("; ")[1] for sentence in said] == [
        "tried again with 64 maps at once",
        "tried again with 16 maps at once",
        "done on the CPU instead",
    ]


def test_what_fits_is_done_at_once_and_no_smaller():
    tried, said, climb = climbing(RUNGS)
    assert climb() == "done on cuda" and tried == RUNGS[:1] and not said
    tried, said, climb = climbing(RUNGS[1:])
    assert climb() == "done on cuda" and tried == RUNGS[:2] and len(said) == 1


@pytest.mark.parametrize(
    "error", [StudyError("no LV."), RuntimeError("shape mismatch"), MemoryError("out of memory")]
)
def test_other_errors_are_not_tried_again(error):
    tried, said, climb = climbing([], error)
    with pytest.raises(type(error)):
        climb()
    assert len(tried) == 1 and not said


def test_a_full_last_rung_is_an_error():
    _, _, climb = climbing([])
    with pytest.raises(torch.cuda.OutOfMemoryError):
        climb()


def test_each_way_in_which_a_gpu_says_that_it_is_full():
    for text in (
        "CUDA error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    ):
        assert is_gpu_memory(RuntimeError(text))
    assert is_gpu_memory(FULL) and not is_gpu_memory(RuntimeError("CUDA error: device-side assert"))


def test_steps_get_smaller_and_end_on_the_cpu():
    assert rungs_for("cpu") == [("cpu", None)]
    assert MAPS_AT_ONCE["cuda"] > SMALLER_BATCHES[0] > SMALLER_BATCHES[-1] > 0
    with pytest.raises(UsageError, match="maps_at_once"):
        SynthesisOptions(maps_at_once=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_that_is_really_full():
    torch.cuda.set_per_process_memory_fraction(1e-3)
    said = []
    try:
        made = with_less_memory(
            lambda device, maps: torch.zeros(2**30 if device == "cuda" else 4, device=device),
            rungs_for("cuda"),
            said.append,
        )
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert made.device.type == "cpu" and len(said) == 3


def test_memory_does_not_grow_with_the_number_of_studies(tmp_path):
    def peak_mb(studies: int) -> float:
        """What a batch of studies of 1 MB each needs at most."""
        place = tmp_path / str(studies)
        cohort_of(place / "cohort", *(f"study_{i:03d}" for i in range(studies)))

        def loads(job, say, progress):
            images = bytearray(2**20)
            say(f"read {len(images)} bytes")
            paint(job, say, progress)

        tracemalloc.start()
        try:
            run_batch(
                place / "cohort",
                place / "out",
                {},
                BatchOptions(workers=0),
                Reporter("none", io.StringIO()),
                loads,
            )
            return tracemalloc.get_traced_memory()[1] / 2**20
        finally:
            tracemalloc.stop()

    few = peak_mb(10)
    many = peak_mb(160)
    assert many < few + 1.5, f"{few:.1f} MB for 10 studies, {many:.1f} MB for 160"
