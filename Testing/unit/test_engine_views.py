"""Slices seen in several views, which mean map and spread are the mean of; and the SD map."""

import pytest
import torch
from test_engine_t1diff import drawn, rings, stirred

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


def unsymmetrical(model):
    """Rings are the same in all views; these are not."""
    cine, ed, es, _ = rings(2, model.config.cine_phases)
    ramp = torch.linspace(0.8, 1.2, 32)
    return cine * ramp, ed.roll((3, 1), (-2, -1)), es.roll((3, 1), (-2, -1))


def test_mean_and_spread_are_of_all_views():
    model = stirred("fast")
    slices = unsymmetrical(model)
    seen = model.encode(*slices, views=3)
    alone = [model.encode(*(turned(x, v) for x in slices)) for v in range(3)]
    means = torch.stack([turned_back(c.mean, v) for v, c in enumerate(alone)])
    spreads = torch.stack([turned_back(c.spread, v) for v, c in enumerate(alone)])
    torch.testing.assert_close(seen.mean, means.mean(0), rtol=0, atol=1e-4)
    torch.testing.assert_close(seen.spread, (spreads**2).mean(0).sqrt(), rtol=1e-3, atol=1e-4)
    assert (means[0] - means[1]).abs().max() > 0.01  # the views do not agree
    for own, its in zip(
        (*seen.c_mod, *seen.c_mor, seen.wall), (*alone[0].c_mod, *alone[0].c_mor, alone[0].wall)
    ):
        assert torch.equal(own, its)


@pytest.mark.parametrize("samples", [2, 4, 6])
def test_any_pairs_of_samples_average_to_the_mean_of_all_views(samples):
    model = stirred("fast", views=4)
    with torch.no_grad():
        model.mean.head.weight.mul_(0.2)  # away from the window's ends, where samples are cut
    seen = model.encode(*unsymmetrical(model), views=4)
    maps, mean = drawn(model, seen, samples=samples), model.mean_ms(seen)
    inside = ((maps > 1) & (maps < 2399)).all(1)
    assert inside.float().mean() > 0.2
    torch.testing.assert_close(maps.mean(1)[inside], mean[inside], rtol=0, atol=0.05)


def test_an_arm_without_a_mean_is_seen_once():
    model = stirred("paper")
    slices = unsymmetrical(model)
    for own, its in zip(model.encode(*slices, views=4).c_mod, model.encode(*slices).c_mod):
        assert torch.equal(own, its)


def test_the_sd_map_is_that_of_endless_samples(monkeypatch):
    """Where the diffusion draws what it should, a standard normal: views, level and spread together."""

    def ideal(predict, z, schedule, steps, noise, callback, spacing):
        return z / 2**0.5

    monkeypatch.setitem(SAMPLERS, "ideal", ideal)
    # draws of half the variance that they should have; a level that in some pixels is more than the spread
    model = stirred("fast", views=2, spread_factor=1.2, draw_factor=2**0.5, level_sd_ms=130.0)
    with torch.no_grad():
        model.mean.head.weight.mul_(0.2)  # away from the window's ends, where samples are cut
        model.spread.head.bias.fill_(-0.1)
    seen = model.encode(*unsymmetrical(model), views=2)
    maps = drawn(model, seen, samples=600, sampler="ideal", steps=1)
    found, told = maps.var(1), model.sd_ms(seen) ** 2
    inside = ((maps > 1) & (maps < 2399)).all(1)
    wall = seen.wall[:, 0] > 0.5
    whole, level = (v[:, 0] * 1200**2 for v in model._variances(seen))
    cut = wall & (level > 0.9 * whole)
    for where in (inside & wall & ~cut, inside & cut, inside & ~wall):
        assert where.sum() > 50
        assert (found[where].mean() / told[where].mean()).item() == pytest.approx(1, rel=0.04)
        ratio = found[where] / told[where]
        assert 0.7 < ratio.quantile(0.02) and ratio.quantile(0.98) < 1.35  # pixel by pixel


def test_a_sample_without_a_level_has_the_whole_spread(monkeypatch):
    monkeypatch.setitem(SAMPLERS, "ideal", lambda predict, z, *_, **__: z)
    model = stirred("fast", level_sd_ms=60.0)
    with torch.no_grad():
        model.mean.head.weight.mul_(0.2)
    seen = model.encode(*unsymmetrical(model))
    noise = model.noise(3, range(2), 3)
    single = model.sample(seen, noise, "ideal", 1)[:, 2]
    whole = model._variances(seen)[0][:, 0].sqrt() * 1200
    expected = model.mean_ms(seen) + whole * noise.at()[:, 2, 0]
    inside = (expected > 1) & (expected < 2399) & (seen.mean[:, 0].abs() < 1)
    assert (inside & (seen.wall[:, 0] > 0.5)).any()
    torch.testing.assert_close(single[inside], expected[inside], rtol=0, atol=0.05)


def test_an_sd_map_is_known_only_where_a_spread_is_learned():
    model = stirred("fast", learned_spread=False)
    assert model.sd_ms(model.encode(*unsymmetrical(model))) is None
    paper = stirred("paper")
    assert paper.sd_ms(paper.encode(*unsymmetrical(paper))) is None
