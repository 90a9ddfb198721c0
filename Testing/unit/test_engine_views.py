"""Slices seen in several views: turned there and back, and sampled pair after pair in the next."""

import pytest
import torch
from test_engine_t1diff import drawn, rings, stirred

from T1DiffLogic.engine.noise import SampleNoise
from T1DiffLogic.engine.samplers import SAMPLERS
from T1DiffLogic.engine.views import VIEWS, turned, turned_back


def test_eight_views_differ_and_come_back():
    image = torch.arange(2 * 16.0).view(2, 4, 4)
    views = [turned(image, v) for v in range(VIEWS)]
    assert torch.equal(views[0], image)
    for v, seen in enumerate(views):
        assert torch.equal(turned_back(seen, v), image)
        assert not any(torch.equal(seen, other) for other in views[:v])


def test_a_quarter_turn_is_one():
    image = torch.zeros(4, 4)
    image[0, 3] = 1  # the upper right corner goes to the upper left, counter-clockwise
    assert turned(image, 1)[0, 0] == 1


class PairOf(SampleNoise):
    """The noise of one pair of another sampling, alone."""

    def __init__(self, whole, pair):
        super().__init__(whole.seed, whole.slices, 2, whole.size)
        object.__setattr__(self, "whole", whole)
        object.__setattr__(self, "pair", pair)

    def at(self, step=0):
        return self.whole.at(step)[:, 2 * self.pair : 2 * self.pair + 2]


def unsymmetrical(model):
    """Rings are the same in all views; these are not."""
    cine, ed, es, _ = rings(2, model.config.cine_phases)
    ramp = torch.linspace(0.8, 1.2, 32)
    return cine * ramp, ed.roll((3, 1), (-2, -1)), es.roll((3, 1), (-2, -1))


@pytest.mark.parametrize("learned", [False, True])
def test_each_pair_is_drawn_in_its_view(learned):
    """Against sampling the turned slices by themselves, as if nobody knew of views."""
    model = stirred("fast", views=3, learned_spread=learned)
    slices = unsymmetrical(model)
    maps = drawn(model, model.encode(*slices, views=3), samples=8)
    noise = model.noise(3, range(2), 8)
    for pair, view in enumerate((0, 1, 2, 0)):
        alone = model.encode(*(turned(x, view) for x in slices))
        expected = turned_back(model.sample(alone, PairOf(noise, pair), steps=3), view)
        torch.testing.assert_close(maps[:, 2 * pair : 2 * pair + 2], expected, rtol=0, atol=0.01)
    assert (maps[:, 0] + maps[:, 1] - maps[:, 2] - maps[:, 3]).abs().max() > 1  # the views do not agree


def test_the_mean_map_is_of_all_views_and_pairs_in_all_average_to_it():
    model = stirred("fast", views=4)
    slices = unsymmetrical(model)
    seen = model.encode(*slices, views=4)
    mean = model.mean_ms(seen)
    single = [turned_back(model.mean_ms(model.encode(*(turned(x, v) for x in slices))), v) for v in range(4)]
    torch.testing.assert_close(mean, torch.stack(single).mean(0), rtol=0, atol=0.01)
    maps = drawn(model, seen, samples=8)
    inside = ((maps > 1) & (maps < 2399)).all(1)
    assert inside.float().mean() > 0.2
    torch.testing.assert_close(maps.mean(1)[inside], mean[inside], rtol=0, atol=0.05)


def test_the_paper_s_arm_is_drawn_in_views_too():
    model = stirred("paper", views=2, sampler="ddim")
    slices = unsymmetrical(model)
    maps = drawn(model, model.encode(*slices, views=2), samples=4)
    alone = drawn(model, model.encode(*slices), samples=4)
    torch.testing.assert_close(maps[:, :2], alone[:, :2], rtol=0, atol=0.5)
    assert (maps[:, 2:] - alone[:, 2:]).abs().max() > 1


def test_the_sd_map_is_that_of_endless_samples(monkeypatch):
    """Where the diffusion draws what it should, a standard normal: views, level and spread together."""

    def ideal(predict, z, schedule, steps, noise, callback, spacing):
        return z

    monkeypatch.setitem(SAMPLERS, "ideal", ideal)
    model = stirred("fast", views=2, spread_factor=1.2, level_sd_ms=60.0)
    with torch.no_grad():
        model.mean.head.weight.mul_(0.2)  # away from the window's ends, where samples are cut
        model.spread.head.bias.fill_(-0.1)
    seen = model.encode(*unsymmetrical(model), views=2)
    maps = drawn(model, seen, samples=600, sampler="ideal", steps=1)
    found, told = maps.var(1), model.sd_ms(seen) ** 2
    inside = ((maps > 1) & (maps < 2399)).all(1)
    wall = seen.wall[:, 0] > 0.5
    for where in (inside & wall, inside & ~wall):
        assert where.sum() > 100
        assert (found[where].mean() / told[where].mean()).item() == pytest.approx(1, rel=0.03)
        ratio = found[where] / told[where]
        assert 0.7 < ratio.quantile(0.02) and ratio.quantile(0.98) < 1.35  # pixel by pixel
    assert told[inside & wall].std() > 0.02 * told[inside & wall].mean()


def test_an_sd_map_is_known_only_where_a_spread_is_learned():
    model = stirred("fast", learned_spread=False)
    assert model.sd_ms(model.encode(*unsymmetrical(model))) is None
    paper = stirred("paper")
    assert paper.sd_ms(paper.encode(*unsymmetrical(paper))) is None
