"""The engine's training masks as the segmenter itself would give them."""

from __future__ import annotations

import torch

from ..anatomy.intensity import standardise
from ..engine.gf_unet import GFUNet


@torch.no_grad()
def predicted_masks(net: GFUNet, batch: dict) -> tuple[torch.Tensor, torch.Tensor]:
    """Soft masks (B, 4, H, W) float32 of GF-UNet on the ED and the ES frame of an engine batch."""
    device = next(net.parameters()).device
    frames = torch.stack([batch["cine"][:, 0], batch["frame_es"]], dim=1).flatten(0, 1).to(device)
    with torch.autocast(device.type, torch.bfloat16):
        logits = net(standardise(frames)[:, None].contiguous(memory_format=torch.channels_last))
    soft = logits.float().softmax(1).unflatten(0, (-1, 2))
    return soft[:, 0], soft[:, 1]
