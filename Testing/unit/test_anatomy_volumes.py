"""Disc summation of the true contours of digital hearts against the volumes that their shapes have."""

import numpy as np
import torch

from T1DiffLogic.anatomy.function import ventricular_function
from T1DiffLogic.evaluation.degraded import stack_of
from T1DiffLogic.phantom.draws import patient_seed
from T1DiffLogic.phantom.hearts import sample_hearts
from T1DiffLogic.phantom.planes import Planes
from T1DiffLogic.phantom.render import DigitalScan

PIXEL_MM, SIZE = 2.0, 64


def scan_at(seed, heights) -> DigitalScan:
    n = len(heights)

    def full(value):
        return torch.full((n,), float(value))

    planes = Planes(
        height=torch.as_tensor(heights, dtype=torch.float32),
        thickness=full(8),
        pixel=full(PIXEL_MM),
        centre=torch.zeros(n, 2),
        rotation=full(0),
        mirrored=full(0),
        view=full(0),
        size=SIZE,
    )
    return DigitalScan(sample_hearts([seed] * n), planes)


def errors_of(seed, step_mm, first_mm):
    """Relative errors of EDV, ESV and mass, and of EF in points."""
    ventricle = scan_at(seed, [40.0]).ventricle
    heights = np.arange(first_mm, float(ventricle.length[0]) + 0.6 * step_mm, step_mm)
    ends = torch.tensor([[0.0, 1.0]]).expand(len(heights), 2)
    labels = scan_at(seed, heights).shapes(ends).labels.numpy()
    geometries = stack_of(labels.astype(np.float32), heights, PIXEL_MM).geometries
    found = ventricular_function(labels[:, 0], labels[:, 1], geometries)
    (edv, muscle), (esv, _) = ([float(v[0]) for v in ventricle.volumes_ml(s)] for s in (0.0, 1.0))
    true = np.array([edv, esv, 1.05 * muscle])
    relative = np.array([found["edv_ml"], found["esv_ml"], found["mass_g"]]) / true - 1
    return *relative, found["ef_percent"] - 100 * (1 - esv / edv)


@torch.no_grad()
def test_disc_summation_is_without_bias():
    """A slice counts or does not, so the place of the mitral plane between two slices is each heart's
    error; over hearts it must not lean to one side."""
    rng = np.random.default_rng(0)
    errors = np.array(
        [
            errors_of(
                patient_seed("validation", 200 + k), step := rng.uniform(8, 10), step * rng.uniform(0.3, 0.9)
            )
            for k in range(16)
        ]
    )
    assert (np.abs(errors[:, :3].mean(axis=0)) < 0.025).all(), errors.mean(axis=0)
    assert (np.abs(errors[:, :3]) < 0.10).all() and abs(errors[:, 3].mean()) < 1.5
    fine = np.array(errors_of(patient_seed("validation", 200), 2.0, 1.0))
    assert (np.abs(fine[:3]) < 0.02).all() and abs(fine[3]) < 1
