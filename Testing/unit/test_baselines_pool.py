"""CycleGAN's history of generated images."""

import torch

from T1DiffLogic.training.baselines.image_pool import ImagePool


def numbered(first, count):
    numbers = torch.arange(first, first + count, dtype=torch.float32)
    return numbers.view(-1, 1, 1, 1).repeat(1, 1, 2, 2)


def values(images):
    return [int(v) for v in images[:, 0, 0, 0]]


def test_a_filling_pool_hands_back_what_it_keeps():
    pool = ImagePool(5, (1, 2, 2))
    assert values(pool.exchange(numbered(1, 3))) == [1, 2, 3]
    assert int(pool.filled) == 3
    pool.exchange(numbered(4, 2))
    assert values(pool.images) == [1, 2, 3, 4, 5]


def test_a_full_pool_exchanges_half_and_loses_nothing():
    torch.manual_seed(0)
    pool = ImagePool(50, (1, 2, 2))
    pool.exchange(numbered(0, 50))
    given = values(pool.exchange(numbered(50, 1000)))
    new = sum(v == 50 + i for i, v in enumerate(given))
    assert 440 < new < 560
    # every image is handed out or still held, each once
    assert sorted(given + values(pool.images)) == list(range(1050))


def test_what_is_handed_out_is_a_copy_without_gradient():
    torch.manual_seed(0)
    pool = ImagePool(1, (1, 2, 2))
    image = torch.ones(1, 1, 2, 2, requires_grad=True)
    given = pool.exchange(image * 2)
    assert not given.requires_grad
    given.zero_()
    assert values(pool.images) == [2]
    kept = pool.images.clone()
    for _ in range(20):
        held = pool.images.clone()
        given = pool.exchange(numbered(7, 1))
        assert values(given) in ([7], values(held))
    assert not torch.equal(pool.images, kept)


def test_a_resumed_pool_goes_on_as_if_never_stopped():
    torch.manual_seed(0)
    pool = ImagePool(4, (1, 2, 2))
    pool.exchange(numbered(0, 9))
    resumed = ImagePool(4, (1, 2, 2))
    resumed.load_state_dict(pool.state_dict())
    torch.manual_seed(3)
    expected = pool.exchange(numbered(20, 9))
    torch.manual_seed(3)
    assert torch.equal(resumed.exchange(numbered(20, 9)), expected)
    assert torch.equal(resumed.images, pool.images)
