"""The rivals and ablations in training: who learns when, from what, and what is kept."""

import math

import pytest
import torch
from baseline_cases import ADVERSARIAL, ALL, narrow
from torch import nn

from T1DiffLogic.engine.checkpoint import read_config
from T1DiffLogic.errors import StudyError
from T1DiffLogic.training.baselines.adversarial import frames_of
from T1DiffLogic.training.baselines.objectives import adversarial_loss, discriminator_loss, l1
from T1DiffLogic.training.method import normalise
from T1DiffLogic.training.methods import configuration, load, method_class


def blobs(count, channels, size=16):
    rough = torch.rand(count, channels, size, size)
    return nn.functional.interpolate(rough, 128, mode="bicubic", align_corners=False)


@pytest.fixture
def inputs():
    torch.manual_seed(100)
    cine = blobs(2, 5).clamp(0, 1) * 1.5
    # a map that the frames know of
    t1 = 700 + 500 * cine[:, :1] + 300 * cine[:, 3:4]
    masks = [(6 * blobs(2, 4)).softmax(1) for _ in range(2)]
    return {
        "cine": cine, "soft_ed": masks[0], "soft_es": masks[1], "t1_ms": t1, "expected_ms": t1,
        "weight": 0.1 + blobs(2, 1).clamp(0, 1),
    }  # fmt: skip


def update(method, optimisers, inputs):
    losses = {}
    for name, loss in method.training_losses(inputs):
        optimisers[name].zero_grad(set_to_none=True)
        loss.backward()
        optimisers[name].step()
        losses[name] = float(loss.detach())
    return losses


def learn(method, inputs, updates):
    method.train()
    optimisers = method.optimisers()
    return [update(method, optimisers, inputs) for _ in range(updates)]


def error_ms(method, inputs):
    found = method.eval().predict_ms(inputs, samples=2, seed=0, slices=[0, 1]).mean(1)
    return float((found - inputs["t1_ms"][:, 0]).abs().mean())


# what goes in


def test_frames_are_ed_and_es_with_myocardium_at_nought():
    cine = torch.full((1, 5, 4, 4), 9.0)
    cine[:, 0], cine[:, 3] = 0.5, 1.0
    found = frames_of({"cine": cine})
    assert found.shape == (1, 2, 4, 4)
    torch.testing.assert_close(found[0, :, 0, 0], torch.tensor([0.0, 1 / 3]))
    cine[:, 0], cine[:, 3] = 2.0, 2.9
    assert (frames_of({"cine": cine}) == 1).all()


@pytest.mark.parametrize("name", ("pix2pix", "cyclegan", "pgan", "hinet", "ddpm_raw"))
def test_rivals_see_ed_and_es_and_neither_masks_nor_other_phases(name, inputs):
    method = narrow(name).eval()
    for parameter in method.network.parameters():  # some begin too small to be heard
        if parameter.ndim == 4:
            nn.init.normal_(parameter, std=0.2)
    found = method.predict_ms(inputs, 1, 0, [0, 1])
    changed = {k: v.clone() for k, v in inputs.items()}
    changed["cine"][:, [1, 2, 4]] = 0
    changed["soft_ed"], changed["soft_es"] = changed["soft_es"], changed["soft_ed"].flip(-1)
    assert torch.equal(method.predict_ms(changed, 1, 0, [0, 1]), found)
    for phase in (0, 3):
        changed = {k: v.clone() for k, v in inputs.items()}
        changed["cine"][:, phase] = 0.2
        assert not torch.equal(method.predict_ms(changed, 1, 0, [0, 1]), found)


# objectives


def test_adversarial_losses_against_their_formulas():
    scores = torch.tensor([[0.3, -1.2]])
    p = scores.sigmoid()
    assert adversarial_loss("bce", scores, True).item() == pytest.approx(-p.log().mean().item())
    assert adversarial_loss("bce", scores, False).item() == pytest.approx(-(1 - p).log().mean().item())
    assert adversarial_loss("lsgan", scores, True).item() == pytest.approx((0.7**2 + 2.2**2) / 2)
    assert discriminator_loss("lsgan", scores, scores).item() == pytest.approx(
        ((0.7**2 + 2.2**2) / 2 + (0.3**2 + 1.2**2) / 2) / 2
    )
    with pytest.raises(ValueError, match="hinge"):
        adversarial_loss("hinge", scores, True)


def test_weighted_l1_is_off_as_published_and_looks_where_it_is_told():
    for name in ("pix2pix", "pgan", "hinet", "gan_disentangled"):
        for size in ("full", "small"):
            assert configuration(name, size)["weighted_l1"] is False
        assert narrow(name).l1_weight({"weight": 1}) is None
        assert narrow(name, weighted_l1=True).l1_weight({"weight": 1}) == 1
    for size in ("full", "small"):
        assert configuration("pix2pix", f"{size}_weighted") == {
            **configuration("pix2pix", size), "weighted_l1": True
        }  # fmt: skip
    image, target, weight = torch.tensor([1.0, 5.0]), torch.tensor([0.0, 0.0]), torch.tensor([2.0, 0.0])
    assert l1(image, target) == 3
    assert l1(image, target, weight) == 1


def test_the_cycle_costs_nothing_when_both_generators_are_the_identity(inputs):
    method = narrow("cyclegan", lambda_cycle=10.0)
    method.network = method.inverse = nn.Identity()
    method.discriminator = nn.ModuleDict({k: nn.Identity() for k in ("map", "frames")})
    frames = frames_of(inputs)
    inputs["t1_ms"] = (frames[:, :1] + 1) * 1200
    name, with_cycle = next(method.training_losses(inputs))
    real = method.target(inputs)
    assert name == "network"
    adversarial = sum(adversarial_loss("lsgan", image, True) for image in (frames, real))
    torch.testing.assert_close(with_cycle, adversarial)
    method.inverse = nn.Threshold(math.inf, 0.0)  # all nought: nothing comes back
    _, broken = next(method.training_losses(inputs))
    assert broken > with_cycle + 1


def test_pgan_punishes_maps_that_differ_in_features(inputs):
    method, other = narrow("pgan"), narrow("pgan", feature_scale=13.6)
    real = normalise(inputs["t1_ms"])
    assert method.perceptual_loss(real, real) == 0
    blurred = nn.functional.avg_pool2d(real, 9, 1, 4)
    assert method.perceptual_loss(blurred, real) > 0
    torch.testing.assert_close(
        other.perceptual_loss(blurred, real), 2 * method.perceptual_loss(blurred, real)
    )


# who learns


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_generator_and_discriminator_learn_in_turn_and_alone(name, inputs):
    method = narrow(name).train()
    optimisers = method.optimisers()
    owners = {n: {id(p) for group in o.param_groups for p in group["params"]} for n, o in optimisers.items()}
    assert not owners["network"] & owners["discriminator"]
    assert owners["network"] | owners["discriminator"] == {id(p) for p in method.parameters()}
    first = "network" if name in ("cyclegan", "hinet") else "discriminator"
    order = []
    for turn, loss in method.training_losses(inputs):
        before = {id(p): p.detach().clone() for p in method.parameters()}
        for p in method.parameters():
            p.grad = None
        loss.backward()
        learning = {id(p) for p in method.parameters() if p.grad is not None}
        assert learning and learning <= owners[turn], "a loss must leave no gradient in the other's parts"
        optimisers[turn].step()
        changed = {id(p) for p in method.parameters() if not torch.equal(p, before[id(p)])}
        assert changed and changed <= owners[turn]
        order.append(turn)
    assert order == ([first, "discriminator"] if first == "network" else [first, "network"])
    assert all(p.requires_grad for p in method.parameters())


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_published_optimisers_and_schedule(name):
    method = narrow(name)
    for optimiser in method.optimisers().values():
        assert isinstance(optimiser, torch.optim.Adam)
        assert optimiser.defaults["betas"] == (0.5, 0.999) and optimiser.defaults["lr"] == 2e-4
    start = 0.25 if name == "hinet" else 0.5
    assert method.rate(0, 0) == method.rate(start, 10) == 1
    assert method.rate((1 + start) / 2, 10) == pytest.approx(0.5)
    assert method.rate(1, 10) == 0
    assert math.isinf(method.clip_norm)


@pytest.mark.parametrize("name", ("pix2pix", "pgan", "hinet", "gan_disentangled", "ddpm_raw"))
def test_a_pair_can_be_learned_by_heart(name, inputs):
    method = narrow(name)
    method.peak_rate = 4e-3
    before = error_ms(method, inputs)
    learn(method, inputs, 40)
    assert error_ms(method, inputs) < 0.6 * before


def test_cyclegan_learns_to_come_back(inputs):
    method = narrow("cyclegan")
    method.peak_rate = 2e-3
    losses = [step["network"] for step in learn(method, inputs, 25)]
    assert sum(losses[-3:]) < 0.6 * sum(losses[:3])
    assert int(method.pools["map"].filled) == 3


# what is kept


@pytest.mark.parametrize("name", ALL)
def test_same_seed_same_method_and_any_batch_same_map(name, inputs):
    methods = [narrow(name), narrow(name)]
    maps = []
    for method in methods:
        torch.manual_seed(5)
        learn(method, inputs, 1)
        maps.append(method.eval().predict_ms(inputs, 2, 9, [3, 4]))
    assert torch.equal(*maps)
    alone = methods[0].predict_ms({k: v[1:] for k, v in inputs.items()}, 2, 9, [4])
    torch.testing.assert_close(alone, maps[0][1:], rtol=0, atol=0.2)
    count = 1 if methods[0].deterministic else 2
    assert maps[0].shape == (2, count, 128, 128) and maps[0].dtype == torch.float32
    assert 0 <= maps[0].min() and maps[0].max() <= 2400


@pytest.mark.parametrize("name", ("pix2pix", "pgan"))
def test_dropout_stays_on_at_test_time(name, inputs):
    method = narrow(name).eval()
    found = method.predict_ms(inputs, 2, 0, [0, 1])
    assert not torch.equal(found[:, 0], found[:, 1])
    assert not torch.equal(method.predict_ms(inputs, 2, 1, [0, 1]), found)
    still = narrow(name, dropout=False).eval()
    assert still.deterministic
    assert still.predict_ms(inputs, 2, 0, [0, 1]).shape[1] == 1


@pytest.mark.parametrize("name", ALL)
def test_a_model_folder_gives_the_method_back(name, inputs, tmp_path):
    method = narrow(name)
    learn(method, inputs, 2)
    found = method.eval().predict_ms(inputs, 1, 0, [0, 1])
    method.save(tmp_path, {"trained_on": "digital phantoms only"})
    again = load(tmp_path)
    assert type(again) is type(method) and again.architecture == method.architecture
    assert read_config(tmp_path)["kind"] == name
    # weights are kept in half precision
    difference = again.predict_ms(inputs, 1, 0, [0, 1]) - found
    assert difference.abs().mean() < 8


def test_a_resumed_cyclegan_has_its_pools(inputs):
    method = narrow("cyclegan")
    learn(method, inputs, 2)
    resumed = narrow("cyclegan", seed=1)
    resumed.load_state_dict(method.state_dict())
    for kind, pool in method.pools.items():
        assert torch.equal(resumed.pools[kind].images, pool.images) and pool.images.abs().sum() > 0


@pytest.mark.parametrize("name", ALL)
def test_settings_are_strict(name):
    good = configuration(name, "small")
    with pytest.raises(StudyError, match="widht"):
        method_class(name)({**good, "widht": 3})
    if name == "ddpm_raw":  # what is left out is T1Diff's default
        return
    missing = dict(good)
    left_out = next(iter(missing))
    missing.pop(left_out)
    with pytest.raises(StudyError, match=f"'{left_out}'.*missing"):
        method_class(name)(missing)
    number = next(k for k, v in good.items() if isinstance(v, int) and not isinstance(v, bool))
    for wrong in ("64", True, 6.5):
        with pytest.raises(StudyError, match=f"'{number}'.*type"):
            method_class(name)({**good, number: wrong})


# the ablations


@pytest.mark.parametrize(
    ("size", "of", "its"),
    [("full", "t1diff", "full"), ("small", "t1diff", "small"), ("paper", "paper", "full"),
     ("paper_small", "paper", "small")],
)  # fmt: skip
def test_ablations_are_of_the_arms_as_they_are(size, of, its):
    arm = configuration(of, its)
    gan, raw = configuration("gan_disentangled", size), configuration("ddpm_raw", size)
    shared = set(gan) & set(arm)
    assert {"modality_widths", "morphology_widths", "estimator_widths", "cine_phases"} <= shared
    assert {k: gan[k] for k in shared} == {k: arm[k] for k in shared}
    objective = (set(raw) & set(arm)) - {"estimator_widths", "cine_phases", "modality_widths"}
    assert {"prediction", "schedule", "residual", "loss_weighting", "sampler"} <= objective
    assert {k: raw[k] for k in objective} == {k: arm[k] for k in objective}


def test_ablations_have_as_many_parameters_as_their_arms():
    def count(name, size):
        with torch.device("meta"):
            return sum(p.numel() for p in method_class(name)(configuration(name, size)).network.parameters())

    for size, of, its in (("small", "t1diff", "small"), ("paper_small", "paper", "small")):
        assert count("ddpm_raw", size) == pytest.approx(count(of, its), rel=0.05)
        # without the arm's mean decoder, in whose stead it has nothing
        assert count("gan_disentangled", size) == pytest.approx(count(of, its), rel=0.2)
    assert count("gan_disentangled", "paper_small") == count("paper", "small")


def test_the_gan_on_conditions_sees_what_t1diff_sees(inputs):
    method = narrow("gan_disentangled").eval()
    nn.init.normal_(method.network.t1diff.estimator.head.weight, std=0.1)
    found = method.predict_ms(inputs, 2, 0, [0, 1])
    assert not torch.equal(found[:, 0], found[:, 1])
    for name in ("cine", "soft_ed", "soft_es"):
        changed = {**inputs, name: inputs[name].flip(1)}
        assert not torch.equal(method.predict_ms(changed, 2, 0, [0, 1]), found)
    paper = narrow("gan_disentangled", cine_phases=1, muscle_window=False).eval()
    nn.init.normal_(paper.network.t1diff.estimator.head.weight, std=0.1)
    changed = {**inputs, "cine": inputs["cine"].clone()}
    changed["cine"][:, 1:] = 0
    assert torch.equal(paper.predict_ms(changed, 1, 0, [0, 1]), paper.predict_ms(inputs, 1, 0, [0, 1]))
    assert paper.cine_phases == 5  # its discriminator sees the ES frame
    learn(paper, inputs, 1)


def test_frames_beside_the_noise_are_a_concatenation(inputs):
    network = narrow("ddpm_raw").network
    estimator = network.estimator
    conditions = network.encode(inputs["cine"], inputs["soft_ed"], inputs["soft_es"])
    z = torch.randn(2, 1, 128, 128)
    seen = []
    estimator.encode_fine.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    with torch.no_grad():
        estimator(z, torch.tensor([1, 2]), estimator.project(conditions))
        maps = conditions.mean, conditions.spread.log()
        together = nn.functional.pixel_unshuffle(torch.cat([z, *conditions.c_mod, *maps], 1), 2)
        weight = torch.cat([estimator.embed.weight, estimator.frames.weight], dim=1)
        expected = nn.functional.conv2d(together, weight, estimator.frames.bias, padding=1)
    torch.testing.assert_close(seen[0], expected, rtol=1e-5, atol=1e-5)


def test_raw_diffusion_as_published_needs_no_mean(inputs):
    torch.manual_seed(0)
    settings = {**configuration("ddpm_raw", "paper_small"), "estimator_widths": [8, 8, 16]}
    method = method_class("ddpm_raw")(settings)
    assert method.network.mean is None and method.stages == (("diffusion", 1.0),)
    assert method.network.config.prediction == "epsilon" and method.network.config.sampler == "ddpm"
    method.progress.stage = "diffusion"
    before, after = (sum(s["network"] for s in learn(method, inputs, n)) / n for n in (3, 10))
    assert after < before
    weight = torch.tensor([0.0, 0.03, 2.0])
    assert method.pixel_weight({"weight": weight}).tolist() == [0, 1, 1]
    assert method.eval().validated_ms(inputs, [0, 1])[""].shape == (2, 128, 128)


def test_the_raw_diffusion_s_spread_is_set_by_validation_and_kept(tmp_path):
    """As T1Diff's, but that without contours there is no level of a person."""

    class Told:
        def missing_spread(self, method, level):
            assert not level
            return 0.7, 1.3, 0.0

    method = narrow("ddpm_raw")
    method.calibrate(Told())
    method.save(tmp_path, {})
    config = load(tmp_path).network.config
    assert (config.spread_factor, config.draw_factor, config.level_sd_ms) == (0.7, 1.3, 0.0)
