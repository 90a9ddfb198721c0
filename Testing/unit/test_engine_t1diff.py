"""T1Diff assembled: presets, conditions, losses, sampling, learning. Small networks, synthetic rings."""

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F

from T1DiffLogic.engine.conditions import morphology, muscle_window
from T1DiffLogic.engine.t1diff import T1Diff, T1DiffConfig

SMALL = {
    "size": 32,
    "modality_widths": (16, 24, 32),
    "modality_bottleneck": 32,
    "morphology_widths": (8, 16, 24),
    "estimator_widths": (16, 24, 32),
}
ARMS = ("fast", "paper")


def small(arm, **changes) -> T1Diff:
    torch.manual_seed(0)
    return T1Diff(dataclasses.replace(T1DiffConfig.preset(arm), **SMALL, **changes)).eval()


def stirred(arm, **changes) -> T1Diff:
    """With weights as after some training: blocks and head start at zero, where nothing shows."""
    model = small(arm, **changes)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return model


def rings(n, phases, seed=0, size=32):
    """Contracting rings whose wall T1 follows wall brightness: cine, soft ED, soft ES, T1 in ms."""
    generator = torch.Generator().manual_seed(seed)
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    radius = (((rows - size / 2) ** 2 + (columns - size / 2) ** 2) ** 0.5)[None]
    cavity = size * (0.15 + 0.08 * torch.rand(n, 1, 1, generator=generator))

    def masks(shrink):
        label = 2 * (radius < shrink * cavity + 0.12 * size).long() + (radius < shrink * cavity).long()
        return F.one_hot(label, 4).permute(0, 3, 1, 2).float()

    ed, es = masks(1.0), masks(0.7)
    scar = torch.rand(n, 1, 1, 1, generator=generator)
    t1 = 800 * ed[:, :1] + (1100 + 400 * scar) * ed[:, 2:3] + 1800 * ed[:, 3:]
    cine = 0.3 * ed[:, :1] + (0.45 + 0.1 * scar) * ed[:, 2:3] + ed[:, 3:]
    noise = 0.02 * torch.randn(n, phases, size, size, generator=generator)
    return cine.expand(-1, phases, -1, -1) + noise, ed, es, t1


def encoded(model, n=2, seed=0):
    cine, ed, es, t1 = rings(n, model.config.cine_phases, seed)
    return model.encode(cine, ed, es), t1


def drawn(model, conditions, seed=3, slices=None, samples=2, **options):
    slices = range(conditions.batch) if slices is None else slices
    return model.sample(
        conditions,
        model.noise(seed, slices, samples),
        **{"steps": 3, **options},
    )


# presets and configuration


def test_the_paper_preset_is_as_published():
    config = T1DiffConfig.preset("paper")
    assert (config.prediction, config.schedule, config.timesteps) == ("epsilon", "linear", 1000)
    assert not config.zero_terminal_snr and not config.residual and config.loss_weighting == "none"
    assert (config.sampler, config.sampler_steps, config.cine_phases) == ("ddpm", 1000, 1)


@pytest.mark.parametrize("arm", ARMS)
def test_presets_fit_a_file_of_15_mib_and_leave_no_parameter_idle(arm):
    config = T1DiffConfig.preset(arm)
    assert 2 * sum(p.numel() for p in T1Diff(config).parameters()) < 14.9 * 2**20
    model = stirred(arm)
    conditions, t1 = encoded(model)
    model.training_step_losses(conditions, model.normalise(t1), torch.ones_like(t1))["loss"].backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("arm", ARMS)
def test_configuration_round_trip(arm):
    config = T1DiffConfig.preset(arm)
    assert T1DiffConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"prediction": "epsilon"}, "zero terminal SNR"),
        ({"spacing": "leading"}, "trailing"),
        ({"spacing": "cubic"}, "spacing"),
        ({"level_sd_ms": -1.0}, "level_sd_ms"),
        ({"level_sd_ms": float("nan")}, "level_sd_ms"),
        ({"spread_factor": 0.0}, "spread_factor"),
        ({"spread_factor": float("nan")}, "spread_factor"),
        ({"draw_factor": -1.0}, "draw_factor"),
        ({"views": 0}, "views"),
        ({"views": 2.0}, "views"),
        ({"views": 9}, "views"),
        ({"residual": False, "learned_spread": True}, "learned_spread"),
        ({"sampler": "euler"}, "sampler"),
        ({"loss_weighting": "snr"}, "loss_weighting"),
        ({"size": 100}, "multiple"),
        ({"t1_high_ms": 0.0}, "window"),
        ({"depth": 3}, "depth"),
    ],
)
def test_impossible_configurations_are_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        T1DiffConfig.from_dict({**T1DiffConfig().to_dict(), **changes})


def test_the_t1_window():
    model = small("fast")
    ms = torch.tensor([-50.0, 0.0, 1200.0, 2400.0, 4000.0])
    torch.testing.assert_close(model.normalise(ms), torch.tensor([-1.0, -1.0, 0.0, 1.0, 1.0]))
    inside = torch.linspace(0, 2400, 50)
    torch.testing.assert_close(model.denormalise(model.normalise(inside)), inside, rtol=0, atol=1e-3)


# conditions


def test_morphology_is_anatomy_and_its_motion():
    _, ed, es, _ = rings(2, 1)
    maps = morphology(ed, es)
    torch.testing.assert_close(maps[:, :3], ed[:, 1:])
    torch.testing.assert_close(maps[:, 3:6], es[:, 1:])
    torch.testing.assert_close(maps[:, 6:], es[:, 1:] - ed[:, 1:])
    torch.testing.assert_close(morphology(es, ed)[:, 6:], -maps[:, 6:])
    with pytest.raises(ValueError, match="soft masks"):
        morphology(ed[:, :3], es[:, :3])


@pytest.mark.parametrize("arm", ARMS)
def test_a_corrected_es_mask_changes_c_mor_and_the_map_but_not_c_mod(arm):
    model = stirred(arm)
    cine, ed, es, _ = rings(1, model.config.cine_phases)
    corrected = es.roll(3, dims=-1)
    before, after = model.encode(cine, ed, es), model.encode(cine, ed, corrected)
    for a, b in zip(before.c_mod, after.c_mod):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    for a, b in zip(before.c_mor, after.c_mor):
        assert not torch.allclose(a, b)
    assert (drawn(model, before) - drawn(model, after)).abs().max() > 1.0


@pytest.mark.parametrize("arm", ARMS)
def test_a_corrected_ed_mask_changes_c_mod_only_through_the_muscle_window(arm):
    """E_m takes one number from the ED mask, the signal of its myocardium, and only in the fast arm."""
    model = stirred(arm)
    cine, ed, es, _ = rings(1, model.config.cine_phases)
    corrected = ed.roll(3, dims=-1)
    before, after = model.encode(cine, ed, es), model.encode(cine, corrected, es)
    for a, b in zip(before.c_mod, after.c_mod):
        assert torch.equal(a, b) == (not model.config.muscle_window)
    for a, b in zip(before.c_mor, after.c_mor):
        assert not torch.allclose(a, b)
    assert model.config.muscle_window == (arm == "fast")
    assert (drawn(model, before) - drawn(model, after)).abs().max() > 1.0


def test_the_muscle_window_is_centred_by_the_inside_of_the_wall():
    """A border pixel is half blood: a mask drawn two pixels into the cavity must not move the window."""
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    radius = ((rows - 31.5) ** 2 + (columns - 31.5) ** 2).sqrt()
    cine = torch.where(radius < 12, 1.0, torch.where(radius < 20, 0.4, 0.1))[None, None]

    def mask(inner, outer):
        wall = ((radius >= inner) & (radius < outer)).float()
        return torch.stack([1 - wall, wall * 0, wall, wall * 0])[None]

    exact = muscle_window(cine, mask(12, 20))
    assert exact[0, 0, 31, 47] == pytest.approx(0, abs=0.02)
    bled = muscle_window(cine, mask(10.9, 20))
    assert bled[0, 0, 31, 47] == pytest.approx(0, abs=0.02)
    assert bled[0, 0, 31, 31] == 2 and bled[0, 0, 0, 0] == -2


@pytest.mark.parametrize("scales", [(64,), (32,), (16,), (64, 32, 16)])
def test_each_scale_conveys_both_conditions(scales):
    model = stirred("paper", condition_scales=scales, sampler="ddim")
    cine, ed, es, _ = rings(1, 1)
    base = drawn(model, model.encode(cine, ed, es))
    assert (drawn(model, model.encode(cine.flip(-1), ed, es)) - base).abs().max() > 0.5
    assert (drawn(model, model.encode(cine, es, ed)) - base).abs().max() > 0.5


def test_projected_conditions_equal_concatenation():
    """The 1×1 convolution of [features, c_mod, c_mor], split in what repeats and what does not."""
    model = stirred("paper")
    estimator = model.estimator
    conditions, _ = encoded(model)
    x = torch.randn(2, 24, 8, 8)
    fused = estimator.fuse(32, x, estimator.project(conditions))
    a, b = estimator.features["32"], estimator.conditions["32"]
    whole = F.conv2d(
        torch.cat([x, conditions.c_mod[1], conditions.c_mor[1]], dim=1),
        torch.cat([a.weight, b.weight], dim=1),
        a.bias + b.bias,
    )
    torch.testing.assert_close(fused, whole, rtol=1e-4, atol=1e-4)


def test_wrong_shapes_are_refused():
    model = small("fast")
    cine, ed, es, _ = rings(1, 5)
    with pytest.raises(ValueError, match="cine"):
        model.encode(cine[:, :3], ed, es)
    with pytest.raises(ValueError, match="noise"):
        model.sample(model.encode(cine, ed, es), model.noise(0, range(2), 1))
    with pytest.raises(ValueError, match="no mean"):
        paper = small("paper")
        paper.mean_ms(paper.encode(cine[:, :1], ed, es))


# sampling


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "dpm_solver_pp_2m"])
def test_sampling_repeats_itself_whatever_the_batch(arm, sampler):
    model = stirred(arm)
    cine, ed, es, _ = rings(3, model.config.cine_phases)
    together = drawn(model, model.encode(cine, ed, es), sampler=sampler, samples=3)
    assert together.shape == (3, 3, 32, 32) and together.dtype == torch.float32
    assert together.min() >= 0 and together.max() <= 2400
    again = drawn(model, model.encode(cine, ed, es), sampler=sampler, samples=3)
    torch.testing.assert_close(again, together, rtol=0, atol=0)
    alone = model.encode(cine[1:2], ed[1:2], es[1:2])
    alone = drawn(model, alone, slices=[1], sampler=sampler, samples=2)
    # ms; rounding differs with the batch and is amplified by 1/α where ε is predicted
    torch.testing.assert_close(alone[0], together[1, :2], rtol=0, atol=0.5)
    assert (together[0, 0] - together[0, 1]).abs().max() > 1.0


def test_a_person_s_level_moves_the_myocardium_of_every_slice_alike_and_nothing_else():
    plain, model = stirred("fast"), stirred("fast", level_sd_ms=100.0)
    cine, ed, es, _ = rings(2, model.config.cine_phases)
    conditions = model.encode(cine, ed, es)
    before = drawn(plain, plain.encode(cine, ed, es), samples=4)
    after = drawn(model, conditions, samples=4)
    levels = 100 * model.noise(3, range(2), 4).levels()
    wall = ed[:, None, 2] > 0.5
    inside = (before > 200) & (before < 2200) & (after > 1) & (after < 2399)
    # the level's variance is part of the spread and leaves the diffusion the rest, a tenth at least
    mean, variance = model.mean_ms(conditions)[:, None], plain.sd_ms(conditions)[:, None] ** 2
    share = ((variance - 100**2).clamp_min(0.1 * variance) / variance).sqrt()
    expected = torch.where(wall, mean + share * (before - mean) + levels[:, None, None], before)
    torch.testing.assert_close(after[inside], expected[inside], rtol=0, atol=1e-2)
    assert share[wall].min() < 0.6
    assert (inside & wall).any() and (inside & ~wall).any()
    # pairs stay evenly around the mean
    even = inside.all(1, keepdim=True)
    torch.testing.assert_close((after.mean(1, True) * even), (before.mean(1, True) * even), rtol=0, atol=0.01)


def test_the_residual_arm_starts_at_its_mean():
    """The noise estimator's head starts at 0: v = 0 at T − 1 says z_0 = 0, one step says the mean."""
    model = small("fast")
    conditions, _ = encoded(model)
    one = drawn(model, conditions, steps=1, samples=1)
    torch.testing.assert_close(one[:, 0], model.mean_ms(conditions), rtol=0, atol=0.01)


def test_the_residual_is_added_in_its_own_unit():
    for learned, spread, draw, added in (
        (False, 1.0, 1.0, 60), (False, 1.5, 1.0, 90), (True, 1.0, 1.0, 30), (True, 2.0, 1.5, 90),
    ):  # fmt: skip
        factors = {"spread_factor": spread, "draw_factor": draw}
        model = small("fast", prediction="x0", learned_spread=learned, **factors)
        with torch.no_grad():
            model.estimator.head.bias.fill_(0.5)  # z_0 = 0.5 everywhere: 0.5 · 0.1 · 1200 ms
            if learned:  # half the unit: the logarithm is tanh's share of ln 10
                model.spread.head.bias.fill_(math.atanh(math.log(0.5) / math.log(10)))
        conditions, _ = encoded(model)
        torch.testing.assert_close(
            drawn(model, conditions, samples=1)[:, 0], model.mean_ms(conditions) + added, rtol=0, atol=0.1
        )


def test_pairs_of_samples_lie_evenly_around_the_mean_map():
    model, loose = stirred("fast"), stirred("fast", centred=False)
    cine, ed, es, _ = rings(2, model.config.cine_phases)
    conditions = model.encode(cine, ed, es)
    maps, mean = drawn(model, conditions, samples=5), model.mean_ms(conditions)
    raw = drawn(loose, loose.encode(cine, ed, es), samples=5)
    inside = ((raw > 1) & (raw < 2399)).all(1) & ((maps > 1) & (maps < 2399)).all(1)
    for first in (0, 2):
        pair = maps[:, first : first + 2]
        torch.testing.assert_close(pair.mean(1)[inside], mean[inside], rtol=0, atol=0.5)
        # the spread within the pair is the diffusion's
        torch.testing.assert_close(
            (pair[:, 0] - pair[:, 1])[inside], (raw[:, first] - raw[:, first + 1])[inside], rtol=0, atol=0.5
        )
    torch.testing.assert_close(maps[:, 4], raw[:, 4], rtol=0, atol=0.01)
    assert (raw[:, :2].mean(1) - mean)[inside].abs().max() > 1


def test_progress_and_cancel():
    model = small("fast")
    conditions, _ = encoded(model)
    told = []
    drawn(model, conditions, steps=4, callback=lambda step, total: told.append((step, total)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]

    def cancel(step, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drawn(model, conditions, callback=cancel)


@pytest.mark.parametrize("arm", ARMS)
def test_bfloat16_autocast_and_channels_last_stay_near_float32(arm):
    model = stirred(arm)
    cine, ed, es, _ = rings(2, model.config.cine_phases)
    exact = drawn(model, model.encode(cine, ed, es), sampler="ddim")
    model.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        rough = drawn(model, model.encode(cine, ed, es), sampler="ddim")
    assert rough.dtype == torch.float32
    spread = exact.std()
    assert (rough - exact).square().mean().sqrt() < 0.1 * spread


# losses


def losses(model, seed=5, **changes):
    cine, ed, es, t1 = rings(2, model.config.cine_phases)
    settings = {"target": model.normalise(t1), "weight": torch.ones_like(t1), "draws_per_slice": 1, **changes}
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        return model.training_step_losses(model.encode(cine, ed, es), generator=generator, **settings)


@pytest.mark.parametrize("draws", [1, 2])
@pytest.mark.parametrize("arm", ARMS)
def test_the_loss_is_equation_6_and_its_weights(arm, draws):
    """Slice by slice and draw by draw, from the same t and ε, by the formulas of the articles."""
    model = stirred(arm, outside_weight=0.1)
    cine, ed, es, t1 = rings(2, model.config.cine_phases)
    weight = ed[:, 2:3] + torch.tensor([0.5, 0.0])[:, None, None, None] * ed[:, :1]
    ours = losses(model, weight=weight, draws_per_slice=draws)

    n = 2 * draws
    generator = torch.Generator().manual_seed(5)
    t = ((torch.randperm(n, generator=generator) + torch.rand(n, generator=generator)) / n * 1000).long()
    noise = torch.randn(n, 1, 32, 32, generator=generator)
    total = 0.0
    with torch.no_grad():
        for i in range(n):
            b = slice(i // draws, i // draws + 1)
            conditions = model.encode(cine[b], ed[b], es[b])
            z_0, least = model.normalise(t1[b]), weight[b].clamp_min(0.1)
            alpha_bar = float(model.schedule.alpha_bar[t[i]])
            factor = 1.0
            if arm == "fast":
                z_0 = ((z_0 - conditions.mean) / conditions.spread * (weight[b] > 0)).clamp(-6, 6)
                snr = alpha_bar / (1 - alpha_bar)
                factor = max(min(snr, 5.0), 1.0) / (snr + 1)
            else:
                z_0 = z_0.clamp(-1, 1)
            alpha, sigma = alpha_bar**0.5, (1 - alpha_bar) ** 0.5
            wanted = noise[i : i + 1] if arm == "paper" else alpha * noise[i : i + 1] - sigma * z_0
            z_t = alpha * z_0 + sigma * noise[i : i + 1]
            error = wanted - model.estimator(z_t, t[i : i + 1], model.estimator.project(conditions))
            total += factor * ((least * error**2).sum() / least.sum()).item() / n
    assert ours["diffusion"].item() == pytest.approx(total, rel=1e-4)
    assert ours["loss"].item() == pytest.approx(total + ours["mean"].item(), rel=1e-4)
    assert (ours["mean"] == 0) == (arm == "paper")


def test_the_spread_s_loss_is_a_normal_likelihood_and_leaves_the_mean_alone():
    model = stirred("fast")
    conditions, t1 = encoded(model)
    target, weight = model.normalise(t1), torch.rand(t1.shape, generator=torch.Generator().manual_seed(1))
    found = model.spread_loss(conditions, target, weight)
    reference = F.gaussian_nll_loss(
        conditions.mean, target, conditions.spread**2, reduction="none", eps=1e-12
    )
    assert found.item() == pytest.approx(((weight * reference).sum() / weight.sum()).item(), rel=1e-4)
    found.backward()
    moved = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None}
    assert moved == {"spread"}


def test_the_spread_stays_within_tenfold():
    model = small("fast")
    conditions, _ = encoded(model)
    torch.testing.assert_close(conditions.spread, torch.full_like(conditions.spread, 0.1))
    for bias, end in ((50.0, 1.0), (-50.0, 0.01)):
        with torch.no_grad():
            model.spread.head.bias.fill_(bias)
        conditions, _ = encoded(model)
        torch.testing.assert_close(
            conditions.spread, torch.full_like(conditions.spread, end), rtol=1e-4, atol=0
        )


def test_pixels_without_weight_teach_nothing():
    model = stirred("fast")
    _, ed, _, t1 = rings(2, 5)
    weight = 1 - ed[:, :1]
    wild = torch.where(weight > 0, model.normalise(t1), torch.rand(t1.shape) * 2 - 1)
    plain = losses(model, weight=weight)
    other = losses(model, weight=weight, target=wild)
    for name in ("loss", "diffusion", "mean"):
        torch.testing.assert_close(plain[name], other[name])
    ones = torch.ones_like(weight)
    seen, shown = losses(model, weight=ones)["loss"], losses(model, weight=ones, target=wild)["loss"]
    assert abs(shown - seen) > 0.02 * seen


def test_weights_are_relative():
    model = stirred("fast", outside_weight=0.0)
    ones = torch.ones(2, 1, 32, 32)
    torch.testing.assert_close(losses(model, weight=ones)["loss"], losses(model, weight=3 * ones)["loss"])


def test_the_mean_map_is_not_bent_by_the_diffusion_loss():
    model = stirred("fast", mean_weight=0.0)
    conditions, t1 = encoded(model)
    model.training_step_losses(conditions, model.normalise(t1), torch.ones_like(t1))["loss"].backward()
    assert model.mean.head.weight.grad is None or model.mean.head.weight.grad.abs().max() == 0
    assert model.modality.embed.weight.grad.abs().max() > 0


def test_draws_per_slice_average_to_the_same_loss():
    model = stirred("fast")
    many = torch.stack([losses(model, seed=s, draws_per_slice=32)["diffusion"] for s in range(2)]).mean()
    single = torch.stack([losses(model, seed=s)["diffusion"] for s in range(64)]).mean()
    assert many.item() == pytest.approx(single.item(), rel=0.15)


@pytest.mark.parametrize("arm", ARMS)
def test_a_few_steps_learn(arm):
    model = small(arm).train()
    optimiser = torch.optim.Adam(model.parameters(), 2e-3)
    generator = torch.Generator().manual_seed(0)
    history = []
    for step in range(40):
        conditions, t1 = encoded(model, n=8, seed=step)
        found = model.training_step_losses(
            conditions, model.normalise(t1), torch.ones_like(t1), generator, draws_per_slice=2
        )
        optimiser.zero_grad()
        found["loss"].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        history.append(found["loss"].item())
    assert sum(history[-5:]) < 0.4 * sum(history[:5])
    if arm == "fast":
        conditions, t1 = encoded(model.eval(), n=8, seed=999)
        error = (model.mean_ms(conditions) - t1[:, 0]).abs().mean()
        assert error < 0.5 * (t1 - t1.mean()).abs().mean()


@pytest.mark.parametrize("arm", ARMS)
def test_validation_under_inference_mode_does_not_break_training(arm):
    """The schedule's tables are made on first use, which may be inside inference_mode."""
    model = stirred(arm)
    with torch.inference_mode():
        conditions, _ = encoded(model)
        drawn(model, conditions, sampler="ddim")
    conditions, t1 = encoded(model)
    model.training_step_losses(conditions, model.normalise(t1), torch.ones_like(t1))["loss"].backward()
    assert model.estimator.embed.weight.grad.abs().sum() > 0
