"""Training data: seeds and pool of the rendered stream, and the batches of prepared pairs."""

from types import SimpleNamespace

import pytest
import torch
from training_cases import write_dataset

from T1DiffLogic.anatomy.normalisation import normalise_cine
from T1DiffLogic.dataset.pairs import PreparedPairs
from T1DiffLogic.errors import StudyError
from T1DiffLogic.phantom.draws import SEEDS
from T1DiffLogic.training.budget import Progress
from T1DiffLogic.training.data import step_seed
from T1DiffLogic.training.prepared import PreparedData, evaluation_inputs
from T1DiffLogic.training.replay import Pool, Renderer, training_seeds
from T1DiffLogic.training.validation import Validation


def test_training_seeds_never_leave_their_range():
    first = training_seeds(len(SEEDS["train"]) - 20, 16)
    batches = [next(first) for _ in range(3)]
    assert all(s in SEEDS["train"] for b in batches for s in b)
    assert batches[1][0] == 0 and batches[2][0] == 16


def test_pool_keeps_the_newest_and_draws_whole_hearts():
    pool = Pool(10)
    for i in range(4):
        value = torch.arange(4) + 4 * i
        pool.add({"a": value, "b": value * 10})
    assert pool.filled == 10
    drawn = pool.draw(200, torch.Generator().manual_seed(0))
    assert set(drawn["a"].tolist()) == set(range(6, 16))
    assert torch.equal(drawn["b"], drawn["a"] * 10)


def render_seed(seeds, wide, device="cpu"):
    return {"seed": torch.tensor(seeds), "wide": torch.full((len(seeds),), int(wide))}


def test_rendering_process_delivers_training_hearts_in_order():
    renderer = Renderer(render_seed, 32, 4, workers=1)
    try:
        batches = [renderer.take(wait=True) for _ in range(3)]
    finally:
        renderer.close()
    assert [b["seed"].tolist() for b in batches] == [[32, 33, 34, 35], [36, 37, 38, 39], [40, 41, 42, 43]]
    assert {int(b["wide"][0]) for b in batches} == {0, 1}
    assert renderer.next_seed == 44


def test_each_device_renders_hearts_of_its_own():
    seen = [
        Renderer(render_seed, 0, 4, 0, share=(process, 8)).take(wait=True)["seed"].tolist()
        for process in range(8)
    ]
    flat = [s for seeds in seen for s in seeds]
    assert len(set(flat)) == 32 and all(s in SEEDS["train"] for s in flat)


def test_every_update_has_its_own_randomness():
    seeds = {step_seed(s, n, p) for s in range(3) for n in range(200) for p in range(4)}
    assert len(seeds) == 3 * 200 * 4


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("dataset"), {"train": 2, "validation": 1})


def attached(data, process=0, processes=1, updates=0):
    """`data` as under a trainer: process `process` of `processes`, at the given update."""
    data.trainer = SimpleNamespace(
        lightning_module=SimpleNamespace(progress=Progress(updates=updates)),
        strategy=SimpleNamespace(root_device=torch.device("cpu")),
        world_size=processes,
        global_rank=process,
    )
    data.setup("fit")
    return data


def test_an_epoch_sees_every_slice_once_and_each_epoch_anew(dataset):
    data = PreparedData(dataset, batch_size=3, seed=0)
    seen = torch.cat([data.order(n) for n in range(40)]).tolist()
    epochs = [tuple(seen[i : i + 4]) for i in range(0, 120, 4)]
    assert all(sorted(epoch) == [0, 1, 2, 3] for epoch in epochs)
    assert len(set(epochs)) > 8


def test_a_batch_depends_on_its_number_alone(dataset):
    first = attached(PreparedData(dataset, 2, 0)).batches()
    fourth = [next(first) for _ in range(4)][3]
    again = next(attached(PreparedData(dataset, 2, 0), updates=3).batches())
    other = next(attached(PreparedData(dataset, 2, 1), updates=3).batches())
    assert all(torch.equal(fourth[name], again[name]) for name in fourth)
    assert not torch.equal(fourth["cine"], other["cine"])


def test_processes_share_the_batch_of_one(dataset):
    whole = next(attached(PreparedData(dataset, 4, 0)).batches())
    halves = [next(attached(PreparedData(dataset, 4, 0), p, 2).batches()) for p in range(2)]
    assert all(torch.equal(whole[k], torch.cat([h[k] for h in halves])) for k in whole)
    with pytest.raises(StudyError, match="--batch-size"):
        next(attached(PreparedData(dataset, 4, 0), 0, 3).batches())


def test_pixels_without_a_t1_weigh_nothing(dataset):
    inputs = next(attached(PreparedData(dataset, 4, 0)).batches())
    empty = inputs["t1_ms"] == 0
    assert empty.any() and (inputs["weight"][empty] == 0).all() and (inputs["weight"][~empty] > 0).all()


def test_evaluation_sees_the_segmenters_masks_and_the_plain_cine(dataset):
    pairs = PreparedPairs(dataset, "validation")
    inputs, batch = evaluation_inputs(pairs, [0, 1]), pairs.batch([0, 1])
    soft = batch["soft_ed"].float()
    assert torch.equal(inputs["soft_ed"], soft)
    torch.testing.assert_close(inputs["cine"], normalise_cine(batch["cine"].float(), soft))
    assert torch.equal(inputs["t1_ms"][:, 0], batch["t1"])


def test_scans_stand_in_for_maps_that_nobody_expects(tmp_path):
    own = write_dataset(tmp_path, {"train": 1}, expected=False)
    inputs = evaluation_inputs(PreparedPairs(own, "train"), [0])
    assert torch.equal(inputs["expected_ms"], inputs["t1_ms"])


def test_validation_figures_are_those_of_their_definition(dataset):
    validation = Validation.prepared(dataset, torch.device("cpu"))
    truth = validation.inputs["t1_ms"][:, 0]
    assert validation.figures(truth + 30.0) == {
        "rmse_ms": pytest.approx(30.0, abs=1e-3),
        "block_r": pytest.approx(1.0, abs=1e-5),
    }
    with pytest.raises(StudyError, match="test"):
        PreparedPairs(dataset, "test")
