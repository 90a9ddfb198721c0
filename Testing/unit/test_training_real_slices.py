"""Real slices with cavity labels: their crops, what a teacher adds to them, and their random appearance."""

import numpy as np
import pytest
import torch
from torch import nn

from T1DiffLogic.errors import StudyError
from T1DiffLogic.study import LV_CAVITY, LV_MYOCARDIUM, RV
from T1DiffLogic.training.appearance import _remapped, randomised
from T1DiffLogic.training.cavity_labels import UNKNOWN, CavityLabels
from T1DiffLogic.training.completion import completed_labels

SIZE = 160
GREY = {0: 0.0, LV_MYOCARDIUM: 60.0, RV: 180.0, LV_CAVITY: 250.0}


class GreyReader(nn.Module):
    """A network that knows each structure by its grey value in `heart`, and sees nothing else."""

    def forward(self, x):
        low, high = x.amin((1, 2, 3), True), x.amax((1, 2, 3), True)
        level = (x - low) / (high - low).clamp_min(1e-6)
        values = torch.tensor([0.0, 180 / 250, 60 / 250, 1.0]).view(1, 4, 1, 1)
        return -200 * (level - values).square()


def heart(radius=14.0, rv_side=-1, wall=8.0):
    """(image, labels) of a ring with an RV on the left (-1) or on the right (1) of it."""
    y, x = np.indices((SIZE, SIZE)) - SIZE / 2
    r = np.hypot(y, x)
    labels = np.zeros((SIZE, SIZE), np.uint8)
    labels[np.hypot(y, x - rv_side * (radius + wall + 6)) < 13] = RV
    labels[r < radius + wall] = LV_MYOCARDIUM
    labels[r < radius] = LV_CAVITY
    return np.vectorize(GREY.get)(labels).astype(np.float32), labels


def written(path, images, cavities, names):
    np.savez(
        path,
        image=np.asarray(images).astype(np.uint8),
        endocardium=np.packbits(np.asarray(cavities), axis=-1),
        name=np.array(names),
    )
    return path


def test_the_teacher_adds_wall_and_rv_and_the_observer_keeps_the_cavity():
    image, labels = heart()
    y, x = np.indices(labels.shape) - SIZE / 2
    drawn = np.hypot(y, x - 2) < 15  # the observer's cavity: moved to the right and larger
    found = completed_labels(image[None], drawn[None], ["a"], 1.25, GreyReader())[0]
    assert (found[drawn] == LV_CAVITY).all()
    inner = np.hypot(y, x) < 12
    assert (found[(labels == LV_CAVITY) & ~drawn & (np.hypot(y, x) < 13)] == UNKNOWN).all()
    wall = (np.hypot(y, x) > 18.5) & (np.hypot(y, x) < 20.5)
    assert (found[wall] == LV_MYOCARDIUM).mean() > 0.97
    rv = (labels == RV) & (np.hypot(y, x + 28) < 10)
    assert (found[rv & ~wall & ~inner] == RV).mean() > 0.97
    assert (found[:20] == 0).all() and (found[-20:] == 0).all()


def test_a_slice_that_the_teacher_does_not_understand_keeps_the_cavity_alone():
    image, labels = heart()
    y, x = np.indices(labels.shape) - SIZE / 2
    drawn = np.hypot(y - 12, x) < 8  # half of it elsewhere
    found = completed_labels(image[None], drawn[None], ["a"], 1.25, GreyReader())[0]
    assert (found[drawn] == LV_CAVITY).all() and (found[~drawn] == UNKNOWN).all()


def test_an_rv_on_the_other_side_than_in_the_same_person_is_none():
    hearts = [heart(), heart(13), heart(12, rv_side=1), heart(12, rv_side=1)]
    images = np.stack([h[0] for h in hearts])
    cavities = np.stack([h[1] == LV_CAVITY for h in hearts])
    found = completed_labels(images, cavities, ["a", "a", "a", "b"], 1.25, GreyReader())
    assert [bool((f == RV).any()) for f in found] == [True, True, False, True]


@pytest.mark.parametrize("deformed", [False, True])
def test_crops_of_image_and_labels_stay_on_each_other(tmp_path, deformed):
    image, labels = heart()
    held_back_first = [f"SC-{n}-IM-0001-0001" for n in "AB"]
    path = written(tmp_path / "x.npz", [image] * 2, [labels == LV_CAVITY] * 2, held_back_first)
    slices = CavityLabels(path, held_back=False)
    assert list(slices.subjects) == ["SC-B"]
    crops, found = slices.crops(40, torch.Generator().manual_seed(1), deformed=deformed)
    assert found.dtype == torch.uint8 and set(found.unique().tolist()) == {0, LV_CAVITY, UNKNOWN}
    assert (crops[found == 0] == 0).all()  # beyond the slice
    cavity, bright = found == LV_CAVITY, crops > 235
    assert 2 * (cavity & bright).sum() / (cavity.sum() + bright.sum()) > 0.9
    slices.complete(GreyReader())
    again, found = slices.crops(40, torch.Generator().manual_seed(1), deformed=deformed)
    assert torch.equal(again, crops) and torch.equal(found == LV_CAVITY, cavity)
    wall = found == LV_MYOCARDIUM
    assert wall.any() and 30 < crops[wall].median() < 90


def test_deformed_cavities_are_squeezed_and_widened_within_their_walls(tmp_path):
    image, labels = heart(radius=20, wall=14)
    path = written(tmp_path / "x.npz", [image] * 2, [labels == LV_CAVITY] * 2, ["A-IM-1", "B-IM-1"])
    slices = CavityLabels(path, held_back=False)
    slices.complete(GreyReader())

    def shares(deformed):
        _, found = slices.crops(200, torch.Generator().manual_seed(2), deformed=deformed)
        cavity = (found == LV_CAVITY).sum((1, 2)).float()
        whole = cavity + (found == LV_MYOCARDIUM).sum((1, 2))
        inside = (found != UNKNOWN)[:, [0, -1]].all(-1).all(-1) & (cavity > 50)
        return (cavity / whole)[inside]

    plain, bent = shares(False), shares(True)
    assert plain.std() < 0.05
    assert bent.min() < 0.6 * plain.median() and bent.max() > 1.25 * plain.median()


def test_appearance_changes_the_look_and_not_the_place():
    image, labels = heart()
    images = torch.from_numpy(np.stack([image] * 64) / 250)
    looks = randomised(images, torch.Generator().manual_seed(5))
    assert looks.shape == images.shape and looks.isfinite().all()
    assert torch.equal(looks, randomised(images, torch.Generator().manual_seed(5)))
    assert len({tuple(x.flatten()[:5].tolist()) for x in looks}) == 64
    wall, cavity = torch.from_numpy(labels == LV_MYOCARDIUM), torch.from_numpy(labels == LV_CAVITY)
    brighter = looks[:, cavity].mean(1) > looks[:, wall].mean(1)
    assert brighter.float().mean() > 0.9


def test_remapped_intensities_keep_their_order_and_their_ends():
    levels = torch.linspace(0, 1, 101).view(1, 1, 101).expand(8, 1, 101)
    mapped = _remapped(levels, torch.Generator().manual_seed(3))
    assert (mapped.diff(dim=-1) > 0).all()
    torch.testing.assert_close(mapped[:, 0, [0, -1]], torch.tensor([[0.0, 1.0]]).expand(8, 2))
    assert (mapped - levels).abs().amax() > 0.05


def test_a_file_of_something_else_is_refused_by_name(tmp_path):
    path = tmp_path / "labels.npz"
    np.savez(path, image=np.zeros((1, 8, 8)))
    with pytest.raises(StudyError, match="labels.npz"):
        CavityLabels(path, held_back=False)
