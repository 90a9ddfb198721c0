"""The rivals' networks against what is published of them: parameters, patch size, normalisation, dropout."""

import pytest
import torch
from torch import nn

from T1DiffLogic.training.baselines.hinet_networks import HiNetDiscriminator, HiNetGenerator, MixedFusion
from T1DiffLogic.training.baselines.layers import CoinDropout, drawn_coins, float32_head, norm_layer
from T1DiffLogic.training.baselines.patch_discriminator import PatchDiscriminator
from T1DiffLogic.training.baselines.random_features import RandomFeatures
from T1DiffLogic.training.baselines.resnet_generator import ResNetGenerator
from T1DiffLogic.training.baselines.unet_generator import UNetGenerator


def parameters(net):
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize(
    ("build", "published"),
    [
        # what the authors' programs print for RGB to RGB
        (lambda: UNetGenerator(3, 3, depth=8), 54_413_955),
        (lambda: UNetGenerator(3, 3, depth=7), 41_828_995),
        (lambda: ResNetGenerator(3, 3, blocks=9), 11_378_179),
        (lambda: ResNetGenerator(3, 3, blocks=6), 7_837_699),
        (lambda: PatchDiscriminator(6), 2_768_705),
        (lambda: PatchDiscriminator(3, norm="instance"), 2_764_737),
        # two modalities to one
        (lambda: HiNetGenerator(), 3_872_259),
        (lambda: HiNetDiscriminator(), 391_041),
    ],
)
def test_published_parameter_counts(build, published):
    with torch.device("meta"):
        assert parameters(build()) == published


def reach(net, size, channels):
    """Side of the square of input pixels that one output value depends on, by its gradient."""
    image = torch.randn(1, channels, size, size, requires_grad=True)
    scores = net.eval()(image)
    middle = scores.shape[-1] // 2
    scores[0, 0, middle, middle].backward()
    seen = image.grad[0].abs().sum(0) > 0
    return int(seen.any(0).sum()), int(seen.any(1).sum())


def test_patches_are_70_pixels():
    torch.manual_seed(0)
    # batch norm at test time looks at no neighbour; an instance norm would at all
    assert reach(PatchDiscriminator(1, width=8, norm="batch"), 160, 1) == (70, 70)


def test_images_keep_their_size_and_stay_in_range():
    images = 40 * torch.randn(2, 2, 128, 128)
    for net in (UNetGenerator(2, 1, width=4), ResNetGenerator(2, 1, width=4, blocks=1)):
        with torch.no_grad():
            found = net(images)
        assert found.shape == (2, 1, 128, 128)
        assert found.abs().max() <= 1
    assert PatchDiscriminator(3, width=4)(torch.randn(2, 3, 128, 128)).shape == (2, 1, 14, 14)


def test_batch_of_one_is_batch_norm_at_batch_size_one():
    torch.manual_seed(0)
    ours, published = norm_layer("batch_of_one", 6), norm_layer("batch", 6)
    nn.init.normal_(ours.weight), nn.init.normal_(ours.bias)
    published.load_state_dict(ours.state_dict(), strict=False)
    images = 3 * torch.randn(4, 6, 9, 9) + 1
    one_by_one = torch.cat([published.train()(image[None]) for image in images])
    torch.testing.assert_close(ours.train()(images), one_by_one, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours.eval()(images), one_by_one, rtol=1e-5, atol=1e-5)


def test_dropout_stands_where_the_published_networks_have_it():
    unet, resnet = UNetGenerator(2, 1, width=4), ResNetGenerator(2, 1, width=4, blocks=9, dropout=True)
    dropped = [i for i, level in enumerate(unet.up) if any(isinstance(m, CoinDropout) for m in level)]
    assert dropped == [1, 2]  # of 128 pixels: the two levels above the bottleneck's own
    assert sum(isinstance(m, CoinDropout) for m in resnet.modules()) == 9
    assert not any(isinstance(m, CoinDropout) for m in ResNetGenerator(2, 1, width=4).modules())


def test_coins_are_fair_keyed_and_off_without_keys():
    layer = CoinDropout().eval()
    ones = torch.ones(3, 8, 32, 32)
    assert torch.equal(layer(ones), ones)
    with drawn_coins(layer, 5, [(0, 0), (0, 1), (7, 0)]):
        together = layer(ones)
    with drawn_coins(layer, 5, [(7, 0)]):
        alone = layer(ones[:1])
    assert set(together.unique().tolist()) == {0.0, 2.0}
    assert abs(float(together.mean()) - 1) < 0.03
    assert torch.equal(together[2:], alone)
    assert not torch.equal(together[0], together[1])
    assert torch.equal(layer(ones), ones)
    two = nn.Sequential(CoinDropout(), CoinDropout())
    with drawn_coins(two, 5, [(0, 0)]):
        assert not torch.equal(two[0](ones[:1]), two[1](ones[:1]))
    torch.manual_seed(0)
    assert abs(float(layer.train()(ones).mean()) - 1) < 0.03


def test_maps_are_not_rounded_to_bfloat16():
    head = nn.Sequential(nn.Conv2d(4, 1, 3, padding=1), nn.Tanh())
    with torch.autocast("cpu", torch.bfloat16):
        assert float32_head(head, torch.randn(1, 4, 8, 8).bfloat16()).dtype == torch.float32
        images = torch.randn(1, 2, 128, 128)
        for net in (UNetGenerator(2, 1, 4), ResNetGenerator(2, 1, 4, 1), HiNetGenerator(4)):
            found = net(images)
            assert (found[0] if isinstance(found, tuple) else found).dtype == torch.float32


def test_mixed_fusion_joins_sum_product_and_maximum():
    fusion = MixedFusion(2, 3, lambda: nn.Identity(), with_previous=False).eval()
    a, b = torch.randn(1, 2, 5, 5), torch.randn(1, 2, 5, 5)
    seen = []
    fusion.mix.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    fusion(a, b)
    assert torch.equal(seen[0], torch.cat([a + b, a * b, torch.where(a > b, a, b)], dim=1))


def test_hinet_gives_each_modality_back_from_its_own_encoder():
    torch.manual_seed(0)
    net = HiNetGenerator(4).eval()
    images = torch.randn(1, 2, 64, 64)
    other = images.clone()
    other[:, 1] += 1
    with torch.no_grad():
        (target, again), (target_other, again_other) = net(images), net(other)
        alone = net.synthesise(*net.encode(images))
    assert torch.equal(again[:, 0], again_other[:, 0])
    assert not torch.equal(again[:, 1], again_other[:, 1])
    assert not torch.equal(target, target_other)
    assert torch.equal(alone, target)


def test_random_features_are_one_fixed_net_of_vgg_shape():
    torch.manual_seed(1)
    first = RandomFeatures(8)
    torch.manual_seed(2)
    second = RandomFeatures(8)
    image = torch.randn(2, 1, 32, 32, requires_grad=True)
    found = first(image)
    assert found.shape == (2, 16, 16, 16)
    assert torch.equal(found, second(image))
    assert not first.state_dict() and not list(first.parameters())
    found.sum().backward()
    assert image.grad.abs().sum() > 0
    assert [w.shape[:2] for w in RandomFeatures().buffers()] == [(64, 1), (64, 64), (128, 64), (128, 128)]
    # conv, conv, pool, conv, conv of 3x3 reach 14 pixels, as VGG16 does before its second pooling
    assert reach(RandomFeatures(8), 48, 1) == (14, 14)
