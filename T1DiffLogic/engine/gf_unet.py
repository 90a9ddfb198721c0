"""GF-UNet, the anatomical structure encoder E_a: global frequency filters in a U-Net.

Li et al. 2023, named by the T1Diff paper as its E_a; here it is also the product's LV segmenter.
The filters follow GFNet (Rao et al., NeurIPS 2021): a learnable complex weight for every channel
and spatial frequency, which is a circular convolution as wide as the image.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class GlobalFilter(nn.Module):
    """rfft2 (ortho) × learnable complex weight × irfft2, channel by channel: (B,C,H,W) -> (B,C,H,W).

    The weight is kept as real (C, H, W//2 + 1, 2), so that half-precision files hold it. It is
    locked to one image size. The transform runs in float32 whatever autocast says, because
    low-precision FFTs do not exist on the CPU and lose the low frequencies on a GPU.
    """

    def __init__(self, channels: int, size: int):
        super().__init__()
        self.size = size
        self.weight = nn.Parameter(torch.randn(channels, size, size // 2 + 1, 2) * 0.02)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            spectrum = torch.fft.rfft2(x.float(), norm="ortho")
            # torch.complex, not view_as_complex: channels_last may have reordered the weight's memory
            weight = torch.complex(self.weight[..., 0].float(), self.weight[..., 1].float())
            spectrum = spectrum * weight
            filtered = torch.fft.irfft2(spectrum, s=(self.size, self.size), norm="ortho")
        return filtered.to(x.dtype)


class ChannelLayerNorm(nn.LayerNorm):
    """LayerNorm over the channels of (B,C,H,W); free of copies when memory is channels-last."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class GlobalFilterBlock(nn.Module):
    """One token block: x + γ · LN(GF(LN(x)))."""

    def __init__(self, channels: int, size: int, gamma: float):
        super().__init__()
        self.before = ChannelLayerNorm(channels)
        self.filter = GlobalFilter(channels, size)
        self.after = ChannelLayerNorm(channels)
        self.gamma = nn.Parameter(torch.full((channels, 1, 1), gamma))

    def forward(self, x: Tensor) -> Tensor:
        return x + (self.gamma * self.after(self.filter(self.before(x)))).to(x.dtype)


class EncoderStage(nn.Module):
    """Token block and closing LayerNorm, then (our addition) a residual 3×3 convolution."""

    def __init__(self, channels: int, size: int, gamma: float, local_convolution: bool):
        super().__init__()
        self.block = GlobalFilterBlock(channels, size, gamma)
        self.norm = ChannelLayerNorm(channels)
        self.local = nn.Conv2d(channels, channels, 3, padding=1) if local_convolution else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.block(x))
        return x if self.local is None else x + F.silu(self.local(x))


class DecoderStage(nn.Module):
    """Transposed convolution ×2, skip concatenation, residual convolution with instance norm."""

    def __init__(self, channels_in: int, channels: int):
        super().__init__()
        self.up = nn.ConvTranspose2d(channels_in, channels, 2, stride=2)
        self.first = nn.Conv2d(2 * channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        # one group per channel is instance norm, and unlike nn.InstanceNorm2d keeps channels-last
        self.norm_first = nn.GroupNorm(channels, channels)
        self.norm_second = nn.GroupNorm(channels, channels)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = self.first(torch.cat([self.up(x), skip.to(x.dtype)], dim=1))
        return F.silu(x + self.norm_second(self.second(F.silu(self.norm_first(x)))))


class GFUNet(nn.Module):
    """Short-axis image (B, in_channels, size, size) -> logits (B, classes, size, size).

    Classes: background, RV, LV myocardium, LV cavity. The caller normalises the image.

    gamma               initial residual scale of the token blocks. The original starts at 1e-3
                        and trains for 400 epochs; 0.1 lets the filters act in a short training.
    local_convolution   True adds what the original lacks: a residual 3×3 convolution at the end
                        of every encoder stage and a sub-pixel detail head. False is the original.
    """

    def __init__(
        self,
        in_channels: int = 1,
        classes: int = 4,
        size: int = 128,
        widths: tuple[int, ...] = (32, 64, 128, 256, 512),
        gamma: float = 0.1,
        local_convolution: bool = True,
    ):
        super().__init__()
        if size % 2 ** len(widths):
            raise ValueError(f"size {size} must be a multiple of {2 ** len(widths)}")
        self.config = {
            "in_channels": in_channels,
            "classes": classes,
            "size": size,
            "widths": list(widths),
            "gamma": gamma,
            "local_convolution": local_convolution,
        }
        sizes = [size // 2 ** (i + 1) for i in range(len(widths))]
        self.embed = nn.Conv2d(in_channels, widths[0], 2, stride=2)
        self.position = nn.Parameter(torch.randn(1, widths[0], sizes[0], sizes[0]) * 0.02)
        self.stages = nn.ModuleList(
            EncoderStage(w, s, gamma, local_convolution) for w, s in zip(widths, sizes)
        )
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in zip(widths, widths[1:]))
        self.ups = nn.ModuleList(DecoderStage(b, a) for a, b in zip(widths, widths[1:]))
        self.head = nn.Conv2d(widths[0], classes, 1)
        self.detail = nn.Conv2d(widths[0], 4 * classes, 3, padding=1) if local_convolution else None

    def forward(self, image: Tensor) -> Tensor:
        size = self.config["size"]
        if image.shape[-2:] != (size, size):
            raise ValueError(f"GF-UNet was built for {size}×{size} pixels, got {tuple(image.shape[-2:])}")
        x = self.embed(image)
        x = x + self.position.to(x.dtype)
        skips = []
        for i, stage in enumerate(self.stages):
            x = stage(x if i == 0 else self.downs[i - 1](x))
            skips.append(x)
        for up, skip in zip(reversed(self.ups), reversed(skips[:-1])):
            x = up(x, skip)
        # the 1×1 convolution is linear, so it may stand before the interpolation, at a quarter of the cost
        logits = F.interpolate(self.head(F.relu(x)), scale_factor=2, mode="bilinear", align_corners=False)
        if self.detail is not None:
            logits = logits + F.pixel_shuffle(self.detail(x), 2)
        return logits
