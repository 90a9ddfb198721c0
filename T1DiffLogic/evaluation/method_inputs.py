"""What a method may see of a prepared patient, and the seed of its noise. Needs no image library."""

from __future__ import annotations

import zlib

import numpy as np
import torch

from ..anatomy.normalisation import normalise_cine


def seed_of_patient(seed: int, patient: str) -> int:
    """The seed of one patient's noise: patients must not share theirs, or their errors would correlate."""
    return seed * 2**32 + zlib.crc32(patient.encode())


def inputs_of_record(record: dict) -> dict[str, torch.Tensor]:
    """cine (S, P, H, W), normalised, and soft_ed, soft_es (S, 4, H, W) of a patient (dataset/pairs.py)."""
    soft_ed, soft_es = (torch.from_numpy(record[n].astype(np.float32)) for n in ("soft_ed", "soft_es"))
    cine = normalise_cine(torch.from_numpy(record["cine"].astype(np.float32)), soft_ed)
    return {"cine": cine, "soft_ed": soft_ed, "soft_es": soft_es}
