"""GF-UNet: the global filter against brute force, memory formats, precision, learning."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from T1DiffLogic.engine.gf_unet import GFUNet, GlobalFilter, GlobalFilterBlock

SMALL = {"size": 32, "widths": (8, 16, 24)}


def image(size=32, batch=2, seed=0):
    return torch.randn(batch, 1, size, size, generator=torch.Generator().manual_seed(seed))


def test_global_filter_is_a_circular_convolution():
    torch.manual_seed(0)
    block = GlobalFilter(channels=3, size=8).double()
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        ours = block(x).double().numpy()  # the transform itself is float32
        weight = block.weight.numpy()
    kernel = np.fft.irfft2(weight[..., 0] + 1j * weight[..., 1], s=(8, 8))
    expected = np.zeros_like(ours)
    for r in range(8):
        for c in range(8):
            for dr in range(8):
                for dc in range(8):
                    expected[..., r, c] += kernel[:, dr, dc] * x.numpy()[..., (r - dr) % 8, (c - dc) % 8]
    np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_global_filter_reaches_across_the_image_and_stays_in_its_channel():
    torch.manual_seed(0)
    block = GlobalFilter(channels=2, size=16)
    x = torch.zeros(1, 2, 16, 16)
    x[0, 0, 3, 4] = 1
    with torch.no_grad():
        y = block(x)
    assert (y[0, 0].abs() > 1e-6).float().mean() > 0.95
    assert y[0, 1].abs().max() == 0


def test_a_silent_filter_block_is_the_identity():
    block = GlobalFilterBlock(channels=8, size=16, gamma=0.0)
    x = torch.randn(1, 8, 16, 16)
    torch.testing.assert_close(block(x), x)


@pytest.mark.parametrize("local_convolution", [True, False])
def test_channels_last_memory_changes_nothing(local_convolution):
    """The filter weight has four axes too, and channels-last reorders its memory."""
    torch.manual_seed(0)
    model = GFUNet(**SMALL, local_convolution=local_convolution).eval()
    with torch.no_grad():
        plain = model(image())
        model.to(memory_format=torch.channels_last)
        other = model(image().to(memory_format=torch.channels_last))
    assert plain.shape == (2, 4, 32, 32)
    torch.testing.assert_close(other, plain, rtol=1e-4, atol=1e-4)


def test_bfloat16_autocast_stays_near_float32():
    torch.manual_seed(0)
    model = GFUNet(**SMALL).eval()
    with torch.no_grad():
        exact = model(image()).softmax(dim=1)
        with torch.autocast("cpu", torch.bfloat16):
            rough = model(image()).float().softmax(dim=1)
    assert (rough - exact).abs().max() < 0.05


def test_every_parameter_learns():
    torch.manual_seed(0)
    model = GFUNet(**SMALL)
    model(image()).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_size_is_locked():
    with pytest.raises(ValueError, match="32"):
        GFUNet(**SMALL)(image(64))
    with pytest.raises(ValueError, match="multiple"):
        GFUNet(size=36, widths=(8, 16, 24))


def test_the_original_has_no_local_convolution_and_the_size_of_the_original():
    count = sum(p.numel() for p in GFUNet(local_convolution=False).parameters())
    assert 4.0e6 < count < 5.0e6  # about 4.35 M at 128²
    assert all(stage.local is None for stage in GFUNet(**SMALL, local_convolution=False).stages)


def test_it_learns_to_outline_discs():
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    rows, columns = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")

    def batch():
        centre = torch.randint(10, 22, (8, 2, 1, 1), generator=generator)
        label = ((rows - centre[:, 0]) ** 2 + (columns - centre[:, 1]) ** 2 < 36).long()
        return label[:, None] + 0.3 * torch.randn(8, 1, 32, 32, generator=generator), label * 3

    model = GFUNet(**SMALL)
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(30):
        x, label = batch()
        loss = F.cross_entropy(model(x), label)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    x, label = batch()
    found = model.eval()(x).argmax(dim=1) == 3
    dice = 2 * (found & (label == 3)).sum() / (found.sum() + (label == 3).sum())
    assert dice > 0.9
