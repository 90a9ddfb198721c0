"""A T1Diff small enough for tests, and changes to what a model folder says of itself."""

import dataclasses
import json

import torch

from T1DiffLogic.engine.t1diff import T1Diff, T1DiffConfig

SMALL = dataclasses.replace(
    T1DiffConfig(),
    size=32,
    modality_widths=(8, 16, 24),
    modality_bottleneck=24,
    morphology_widths=(8, 8, 16),
    estimator_widths=(8, 16, 24),
    residual_scale=0.07,
)


def t1diff():
    torch.manual_seed(1)
    model = T1Diff(SMALL).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def edit(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
