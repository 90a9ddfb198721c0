"""The segmenter's losses: full labels, and real slices of which only the cavity is known."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from T1DiffLogic.training.cavity_labels import UNKNOWN, subject_of
from T1DiffLogic.training.segmenter import cavity_loss, segmentation_loss


def logits_for(labels, certainty=12.0):
    return nn.functional.one_hot(labels, 4).permute(0, 3, 1, 2).float() * certainty


def ring():
    y, x = np.indices((48, 48)) - 23.5
    radius = np.hypot(y, x)
    return torch.from_numpy(np.where(radius < 8, 3, np.where(radius < 13, 2, 0)))[None]


def test_segmentation_loss_is_that_of_its_formula():
    labels = ring()
    logits = torch.randn(1, 4, 48, 48, generator=torch.Generator().manual_seed(1))
    p = logits.softmax(1).double().numpy()[0]
    truth = labels.numpy()[0]
    entropy = -np.mean([math.log(p[truth[i, j], i, j]) for i in range(48) for j in range(48)])
    dice = [(2 * p[k][truth == k].sum() + 1e-5) / (p[k].sum() + (truth == k).sum() + 1e-5) for k in (1, 2, 3)]
    expected = 0.8 * entropy + 1.2 * (1 - np.mean(dice))
    assert segmentation_loss(logits, labels).item() == pytest.approx(expected, rel=1e-5)


def test_unknown_pixels_teach_nothing():
    labels = ring()
    partly = labels.clone()
    partly[:, :, 24:] = UNKNOWN
    logits = torch.randn(1, 4, 48, 48, generator=torch.Generator().manual_seed(1), requires_grad=True)
    segmentation_loss(logits, partly).backward()
    assert (logits.grad[..., 24:] == 0).all() and (logits.grad[..., :24] != 0).any()
    half = logits.detach()[..., :24]
    assert segmentation_loss(logits, partly).item() == pytest.approx(
        segmentation_loss(half, labels[..., :24]).item(), rel=1e-5
    )


def test_cavity_labels_say_nothing_of_the_other_classes():
    labels = ring()
    cavity = labels == 3
    far = labels.clone()
    far[:, :6] = 1  # an RV away from the ring: the partial label cannot know
    told, other = cavity_loss(logits_for(labels), cavity), cavity_loss(logits_for(far), cavity)
    assert told.item() == pytest.approx(other.item(), abs=1e-4)


def test_cavity_labels_do_know_the_cavity_and_the_muscle_around_it():
    labels = ring()
    cavity = labels == 3
    right = cavity_loss(logits_for(labels), cavity)
    missed = labels.clone()
    missed[cavity] = 1
    bare = labels.clone()
    bare[labels == 2] = 0
    assert cavity_loss(logits_for(missed), cavity) > right + 1
    assert cavity_loss(logits_for(bare), cavity) > right + 0.3


def test_subject_is_the_part_before_the_image():
    assert subject_of("SC-HF-I-09-IM-0001-0007") == "SC-HF-I-09"
