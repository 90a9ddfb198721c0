"""The feature net of pGAN's perceptual loss: VGG16 up to its second pooling, with fixed random weights.

pGAN compares images in the features of a VGG16 trained on ImageNet, whose weights cannot be had here.
A net of the same shape with fixed random weights stands in: it keeps what the loss is made of (local,
overcomplete, rectified edge and texture responses of the same reach, the same stride and width) and brings
nothing that the other methods do not have. The features of the released segmenter would bring the anatomy
that it was trained on. Random features of this kind carry texture about as well as trained ones
(Ustyuzhaninov et al. 2016, arXiv 1606.00021; He, Wang and Hopcroft 2016, arXiv 1606.04801).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

SEED = 16


class RandomFeatures(nn.Module):
    """(B, 1, S, S) -> (B, 2·width, S/2, S/2): conv, conv, max pool, conv, conv, each 3×3 with ReLU.

    He initialisation from a fixed seed, without biases: the same net on every machine. The weights do
    not learn and are not kept in checkpoints; gradients pass through to the images.
    """

    def __init__(self, width: int = 64):
        super().__init__()
        generator = torch.Generator().manual_seed(SEED)
        channels = (1, width, width, 2 * width, 2 * width)
        for i, (a, b) in enumerate(zip(channels, channels[1:])):
            weight = torch.randn(b, a, 3, 3, generator=generator) * (2 / (9 * a)) ** 0.5
            self.register_buffer(f"weight_{i}", weight, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        x = images
        for i in range(4):
            if i == 2:
                x = nn.functional.max_pool2d(x, 2)
            x = nn.functional.conv2d(x, getattr(self, f"weight_{i}"), padding=1).relu()
        return x
