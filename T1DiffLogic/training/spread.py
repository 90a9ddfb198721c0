"""Set anew how far the samples of a trained model spread: `python -m T1DiffLogic.training.spread MODEL`.

`t1diff train` does this at the end of every run; this does it for a model that is older, or that will be
used on the people of another DATASET. The weights stay as they are.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from ..devices import chosen_device
from ..engine import checkpoint
from ..errors import StudyError
from ..resources import installed_segmenter
from .methods import load
from .t1diff import T1DiffFast
from .validation import Validation

CALIBRATED = ("spread_factor", "draw_factor", "level_sd_ms")


def recalibrated(folder: Path, dataset: Path | None, device: torch.device) -> dict[str, float]:
    """Write `spread_factor`, `draw_factor` and `level_sd_ms` into the config.json of a model folder, and
    return them.

    dataset  whose validation split they are measured on; None: digital hearts of the validation range

    StudyError when the folder holds no T1Diff with a mean map.
    """
    method = load(folder).to(device)
    if not isinstance(method, T1DiffFast) or method.network.mean is None:
        raise StudyError(f"{folder} holds no T1Diff with a mean map; name a folder of `t1diff train t1diff`.")
    if dataset is None:
        segmenter = checkpoint.load(installed_segmenter(), "gf_unet").to(device).eval()
        validation = Validation.rendered(method.cine_phases, segmenter, device)
    else:
        validation = Validation.prepared(dataset, device)
    method.calibrate(validation)
    method.save(folder, checkpoint.read_config(folder)["metadata"])
    return {name: getattr(method.network.config, name) for name in CALIBRATED}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m T1DiffLogic.training.spread", description=__doc__)
    parser.add_argument("model", type=Path, metavar="MODEL")
    parser.add_argument("--dataset", type=Path, help="a folder of `t1diff prepare`; else digital hearts")
    parser.add_argument("--device", default="auto")
    chosen = parser.parse_args(arguments)
    try:
        found = recalibrated(chosen.model, chosen.dataset, chosen_device(chosen.device))
    except StudyError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print("\n".join(f"{name} {value}" for name, value in found.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
