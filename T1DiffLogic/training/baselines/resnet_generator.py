"""The residual generator of CycleGAN and pGAN (Zhu et al. 2017, appendix 7.2, after Johnson et al. 2016)."""

from __future__ import annotations

from torch import Tensor, nn

from .layers import CoinDropout, float32_head, init_normal, norm_has_shift, norm_layer


class ResidualBlock(nn.Module):
    """x + norm(conv(ReLU(norm(conv(x))))), reflection padded, with dropout between if asked."""

    def __init__(self, channels: int, norm: str, dropout: bool):
        super().__init__()
        bias = not norm_has_shift(norm)
        layers = [_reflected(channels, channels, 3, bias), norm_layer(norm, channels), nn.ReLU(inplace=True)]
        if dropout:
            layers.append(CoinDropout())
        layers += [_reflected(channels, channels, 3, bias), norm_layer(norm, channels)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class ResNetGenerator(nn.Module):
    """(B, channels_in, S, S) -> (B, channels_out, S, S) in [−1, 1], S a multiple of 4.

    A 7×7 convolution, two 3×3 of stride 2, `blocks` residual blocks of 4·width channels at S/4, two
    transposed 3×3 back and a 7×7 to the image: c7s1-64, d128, d256, R256 …, u128, u64, c7s1 in the
    article's words. 6 blocks for 128 pixels, 9 for 256.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        width: int = 64,
        blocks: int = 6,
        norm: str = "instance",
        dropout: bool = False,
    ):
        super().__init__()
        bias = not norm_has_shift(norm)

        def normed(convolution: nn.Module, channels: int) -> list[nn.Module]:
            return [convolution, norm_layer(norm, channels), nn.ReLU(inplace=True)]

        layers = normed(_reflected(channels_in, width, 7, bias), width)
        for channels in (width, 2 * width):
            layers += normed(nn.Conv2d(channels, 2 * channels, 3, 2, 1, bias=bias), 2 * channels)
        layers += [ResidualBlock(4 * width, norm, dropout) for _ in range(blocks)]
        for channels in (4 * width, 2 * width):
            up = nn.ConvTranspose2d(channels, channels // 2, 3, 2, 1, output_padding=1, bias=bias)
            layers += normed(up, channels // 2)
        self.body = nn.Sequential(*layers)
        self.head = nn.Sequential(_reflected(width, channels_out, 7, True), nn.Tanh())
        init_normal(self)

    def forward(self, images: Tensor) -> Tensor:
        return float32_head(self.head, self.body(images))


def _reflected(channels_in: int, channels_out: int, kernel: int, bias: bool) -> nn.Conv2d:
    return nn.Conv2d(
        channels_in, channels_out, kernel, padding=kernel // 2, padding_mode="reflect", bias=bias
    )
