"""The rivals and ablations with few channels, for their tests."""

import torch

from T1DiffLogic.training.methods import configuration, method_class

ADVERSARIAL = ("pix2pix", "cyclegan", "pgan", "hinet", "gan_disentangled")
ALL = (*ADVERSARIAL, "ddpm_raw")
NARROW = {
    "pix2pix": {"width": 8, "discriminator_width": 4},
    "cyclegan": {"width": 4, "blocks": 1, "discriminator_width": 4, "pool": 3},
    "pgan": {"width": 8, "blocks": 2, "discriminator_width": 4, "feature_width": 4},
    "hinet": {"width": 4},
    "gan_disentangled": {
        "modality_widths": [8, 8, 16], "modality_bottleneck": 16, "morphology_widths": [8, 8, 16],
        "estimator_widths": [8, 8, 16], "discriminator_width": 4,
    },
    "ddpm_raw": {
        "modality_widths": [8, 8, 16], "modality_bottleneck": 16, "estimator_widths": [8, 8, 16],
        "sampler_steps": 2,
    },
}  # fmt: skip


def narrow(name, seed=0, **settings):
    """The method of a seed, at its first stage."""
    torch.manual_seed(seed)
    method = method_class(name)({**configuration(name, "small"), **NARROW[name], **settings})
    method.progress.stage = method.stages[0][0]
    return method
