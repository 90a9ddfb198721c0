"""E_m, the modality encoder: "a simple U-net" from cine frames to c_mod."""

from __future__ import annotations

from torch import Tensor, nn

from .unet_blocks import ResidualBlock, Up, down, space_to_depth


class ModalityEncoder(nn.Module):
    """Centred cine frames (B,P,H,W) -> c_mod at H/2, H/4 and H/8, fine to coarse, with `widths` channels.

    The frames are channels; `T1Diff.encode` centres them, so that bfloat16 resolves contrasts of one
    percent in the myocardium.

    decode_finest   False ends the decoder at H/4, for a noise estimator conditioned in its middle
                    layers only; the finest features are then those of the encoder
    """

    def __init__(
        self,
        phases: int,
        widths: tuple[int, int, int] = (48, 96, 192),
        bottleneck: int = 256,
        decode_finest: bool = True,
    ):
        super().__init__()
        fine, middle, coarse = widths
        self.embed = nn.Conv2d(4 * phases, fine, 3, padding=1)
        self.encode_fine = ResidualBlock(fine)
        self.down_middle = down(fine, middle)
        self.encode_middle = ResidualBlock(middle)
        self.down_coarse = down(middle, coarse)
        self.encode_coarse = ResidualBlock(coarse)
        self.down_bottleneck = down(coarse, bottleneck)
        self.bottleneck = ResidualBlock(bottleneck)
        self.up_coarse = Up(bottleneck, coarse, coarse)
        self.decode_coarse = ResidualBlock(coarse)
        self.up_middle = Up(coarse, middle, middle)
        self.decode_middle = ResidualBlock(middle)
        self.up_fine = Up(middle, fine, fine) if decode_finest else None
        self.decode_fine = ResidualBlock(fine) if decode_finest else None

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        fine = self.encode_fine(self.embed(space_to_depth(frames)))
        middle = self.encode_middle(self.down_middle(fine))
        coarse = self.encode_coarse(self.down_coarse(middle))
        deepest = self.bottleneck(self.down_bottleneck(coarse))
        coarse = self.decode_coarse(self.up_coarse(deepest, coarse))
        middle = self.decode_middle(self.up_middle(coarse, middle))
        if self.up_fine is not None:
            fine = self.decode_fine(self.up_fine(middle, fine))
        return fine, middle, coarse
