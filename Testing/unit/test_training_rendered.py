"""The rendered streams: what the two networks are trained on."""

import torch

from T1DiffLogic.anatomy.phase_sampling import phase_fractions
from T1DiffLogic.training.rendered import (
    INNER_WALL_WEIGHT,
    WEIGHTS,
    engine_batch,
    engine_inputs,
    flip_and_turn,
    inner_wall,
    segmenter_batch,
    soften_masks,
)


def areas(labels, label):
    return (labels == label).sum((-2, -1)).float()


def test_engine_batch_repeats_and_contracts():
    seeds = list(range(100, 106))
    batch = engine_batch(seeds, wide=False, phases=5)
    again = engine_batch(seeds, wide=False, phases=5)
    for name, value in batch.items():
        assert torch.equal(value, again[name]), name
    assert batch["cine"].shape == (6, 5, 128, 128)
    seen = areas(batch["labels_ed"], 3) > 200
    assert seen.any()
    assert (areas(batch["labels_es"], 3)[seen] < areas(batch["labels_ed"], 3)[seen]).all()
    wall = batch["labels_t1"] == 2
    assert 1000 < batch["t1"][wall].float().median() < 1500


def test_the_expected_map_is_the_scan_without_noise_and_person():
    batch = engine_batch(list(range(400, 408)), wide=False, phases=1)
    wall = inner_wall(batch["labels_t1"])
    scan, expected = batch["t1"].float(), batch["t1_expected"].float()
    noise = (scan - expected)[wall]
    assert 20 < noise.std() < 120 and noise.mean().abs() < 40
    both = wall[..., 1:] & wall[..., :-1]

    def roughness(maps):
        return maps.diff(dim=-1)[both].abs().median()

    assert roughness(expected) < 5 < 15 < roughness(scan)


def test_softened_walls_are_thick_and_thin():
    labels = engine_batch([7] * 48, wide=False, phases=1)["labels_ed"]
    hard = soften_masks(labels, torch.Generator().manual_seed(2)).argmax(1)
    ratio = areas(hard, 2) / areas(labels, 2)
    assert ratio.min() < 0.9 and ratio.max() > 1.1 and 0.85 < ratio.median() < 1.15


def test_single_phase_batch_still_knows_end_systole():
    batch = engine_batch(list(range(100, 104)), wide=False, phases=1)
    assert batch["cine"].shape[1] == 1
    assert (areas(batch["labels_es"], 3) <= areas(batch["labels_ed"], 3)).all()


def test_frames_are_those_that_synthesis_will_pick():
    assert phase_fractions(5).tolist() == [0, 1 / 3, 2 / 3, 1, 1.5]


def test_segmenter_batch_shows_the_heart_at_many_scales_and_sometimes_not_at_all():
    batch = segmenter_batch(list(range(48)), wide=True, t1_share=0.0)
    assert batch["image"].shape[0] == batch["labels"].shape[0] == 96
    lv = areas(batch["labels"], 2) + areas(batch["labels"], 3)
    assert (lv == 0).any() and lv.max() > 4 * lv[lv > 0].median() / 2
    assert torch.isfinite(batch["image"].float()).all()


def test_softened_masks_are_probabilities_near_the_truth():
    labels = engine_batch(list(range(200, 208)), wide=False, phases=1)["labels_ed"]
    masks = soften_masks(labels, torch.Generator().manual_seed(0))
    torch.testing.assert_close(masks.sum(1), torch.ones_like(masks[:, 0]))
    found = masks.argmax(1)
    truth = labels == 3
    dice = 2 * ((found == 3) & truth).sum() / ((found == 3).sum() + truth.sum())
    assert 0.8 < dice < 0.999
    hard = ((masks == 0) | (masks == 1)).flatten(1).all(1)
    assert hard.any() and not hard.all()


def test_views_keep_image_and_labels_together():
    labels = torch.randint(0, 4, (3, 16, 16))
    batch = {"image": labels.float(), "labels": labels}
    for seed in range(12):
        seen = flip_and_turn(batch, torch.Generator().manual_seed(seed))
        assert torch.equal(seen["image"].long(), seen["labels"])


def test_engine_inputs_weigh_the_wall_and_use_the_segmenters_masks():
    batch = engine_batch(list(range(300, 332)), wide=False, phases=2)
    given = torch.zeros(32, 4, 128, 128)
    given[:, 0] = 1
    inputs = engine_inputs(batch, torch.Generator().manual_seed(0), (given, given))
    known = batch["t1"] > 0
    weight, labels = inputs["weight"][:, 0], batch["labels_t1"]
    assert (weight[~known] == 0).all()
    assert set(weight[known].unique().tolist()) <= {*WEIGHTS.tolist(), INNER_WALL_WEIGHT}
    inner = inner_wall(labels)
    assert (inner & known).any() and (labels[inner] == 2).all()
    assert (weight[inner & known] == INNER_WALL_WEIGHT).all()
    assert (weight[(labels == 2) & ~inner & known] == WEIGHTS[2]).all()
    taken = (inputs["soft_ed"][:, 0] == 1).flatten(1).all(1)
    assert 8 < taken.sum() < 30
