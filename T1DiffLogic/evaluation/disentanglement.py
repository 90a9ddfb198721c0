"""What c_mod and c_mor each decide, by intervention: one patient's c_mod with another's c_mor.

Of two patients A and B, four maps are made from the same noise: A's own, B's own, A's c_mod with B's
c_mor, and the reverse. If the conditions are disentangled as the paper wants, the wall stands where c_mor
has it and the tissue's values follow c_mod. Numbers say which of the two owners a mixed map is nearer to.
"""

from __future__ import annotations

import numpy as np
import torch

from ..engine.precision import inference_precision
from ..engine.t1diff import T1Diff
from ..study import LV_CAVITY, LV_MYOCARDIUM
from .cases import Case
from .contestants import TrainedMethod, inputs_of, slices_alike

SCAR_MS = 1250.0


def can_be_intervened(method: TrainedMethod) -> bool:
    """Whether the method has the two conditions of the paper."""
    network = method.method.network
    return isinstance(network, T1Diff) and hasattr(network, "morphology")


@torch.inference_mode()
def exchanged(method: TrainedMethod, one: Case, other: Case, samples: int, seed: int) -> dict:
    """{(owner of c_mod, owner of c_mor): (S, H, W) ms, mean of the samples}, owners 'A' and 'B'.

    S are the slices of `one`, with the slices of `other` at the same levels.
    """
    network, device = method.method.network, method.device
    pick = slices_alike(one.levels, other.levels)
    inputs = {"A": inputs_of(one), "B": {k: v[pick] for k, v in inputs_of(other).items()}}
    maps = {}
    with inference_precision(device):
        own = {
            k: network.encode(*(t.to(device) for t in (method.method.frames(v), v["soft_ed"], v["soft_es"])))
            for k, v in inputs.items()
        }
        for mod in "AB":
            for mor in "AB":
                maps[mod, mor] = (
                    network.sample(
                        network.combine(own[mod].c_mod, own[mor].c_mor, None),
                        network.noise(seed, one.slices, samples),
                        method.sampler,
                        method.steps,
                    )
                    .float()
                    .mean(dim=1)
                    .cpu()
                    .numpy()
                )
    return maps


def bright_cavity(image: np.ndarray, labels: np.ndarray) -> float | None:
    """How well a map's cavity fits `labels`: Dice of their cavity with what looks like blood in their LV.

    Blood-like is above the middle between the medians of cavity and wall. None without cavity or wall.
    """
    cavity, wall = labels == LV_CAVITY, labels == LV_MYOCARDIUM
    if not cavity.any() or not wall.any():
        return None
    cut = (np.median(image[cavity]) + np.median(image[wall])) / 2
    found = (image > cut) & (cavity | wall)
    return float(2 * (found & cavity).sum() / max(found.sum() + cavity.sum(), 1))


def exchange_rows(maps: dict, one: Case, other: Case) -> list[dict]:
    """Two rows, one per mixed map, with its likeness to the map of either owner, `_mod` and `_mor`.

    rmse_to_*_ms    over the whole crop
    segment_r_*     of the AHA segments, each map read under the contours that its c_mor comes from
    cavity_dice_*   of the bright cavity of the mixed map with either owner's contours
    scar_share_*    share of the trimmed wall above 1250 ms in the owners' maps and in the mixed one
    """
    pick = slices_alike(one.levels, other.levels)
    labels = {"A": one.record["labels_ed"], "B": other.record["labels_ed"][pick]}
    aha = {"A": one.record["aha"], "B": other.record["aha"][pick]}
    segments = {
        key: np.array(
            [
                image[aha[key[1]] == n].mean() if (aha[key[1]] == n).sum() >= 8 else np.nan
                for n in range(1, 17)
            ]
        )
        for key, image in maps.items()
    }
    share = {
        key: float((image[aha[key[1]] > 0] > SCAR_MS).mean()) if (aha[key[1]] > 0).any() else None
        for key, image in maps.items()
    }
    rows = []
    for mod, mor in (("A", "B"), ("B", "A")):
        mixed, key = maps[mod, mor], (mod, mor)
        row = {
            "c_mod": (one if mod == "A" else other).patient,
            "c_mor": (one if mor == "A" else other).patient,
        }
        for name, owner in (("mod", mod), ("mor", mor)):
            difference = mixed - maps[owner, owner]
            row[f"rmse_to_{name}_ms"] = float(np.sqrt(np.square(difference, dtype=np.float64).mean()))
            row[f"segment_r_{name}"] = _r(segments[key], segments[owner, owner])
            row[f"cavity_dice_{name}"] = bright_cavity(mixed, labels[owner])
            row[f"scar_share_{name}"] = share[owner, owner]
        row["scar_share_mixed"] = share[key]
        rows.append(row)
    return rows


def _r(a: np.ndarray, b: np.ndarray) -> float | None:
    known = np.isfinite(a) & np.isfinite(b)
    if known.sum() < 5 or a[known].std() == 0 or b[known].std() == 0:
        return None
    return float(np.corrcoef(a[known], b[known])[0, 1])
