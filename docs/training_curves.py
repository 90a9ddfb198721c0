"""Draws docs/pictures/training.png from the logs in docs/training: `python docs/training_curves.py`."""

from __future__ import annotations

import csv
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

DOCS = Path(__file__).parent
DICE = {"dice_cavity": "LV cavity", "dice_myo": "LV myocardium", "dice_rv": "RV"}


def read(name: str) -> list[dict[str, str]]:
    with (DOCS / "training" / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def curve(axis, rows, column, label, **style) -> None:
    points = [(float(r["minutes"]), float(r[column])) for r in rows if r.get(column)]
    axis.plot(*zip(*points), label=label, **style)


def main() -> None:
    segmenter, synthesis = read("gf_unet_log.csv"), read("t1diff_fast_sitting5.csv")
    figure, axes = plt.subplots(1, 3, figsize=(13, 3.8), constrained_layout=True)
    for column, label in DICE.items():
        curve(axes[0], segmenter, column, f"{label}, digital")
    people = {"color": "black", "linestyle": "--"}
    curve(axes[0], segmenter, "dice_real_cavity", "LV cavity, held-back people", **people)
    axes[0].set(title="GF-UNet", ylabel="pooled Dice", ylim=(0, 1))
    for kind, label in (("mean", "mean map"), ("sampled", "mean of 2 samples")):
        curve(axes[1], synthesis, f"{kind}_rmse_ms", label)
        curve(axes[2], synthesis, f"{kind}_block_r", label)
    axes[1].set(title="T1Diff fast: wall RMSE", ylabel="ms")
    axes[2].set(title="T1Diff fast: R of 11 mm blocks of the wall")
    for axis in axes:
        axis.set_xlabel("minutes of training, 2 CPU cores")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    title = "Validation on digital hearts; wide distribution: half of the segmenter's, a third of T1Diff's"
    figure.suptitle(title, fontsize=10)
    figure.savefig(DOCS / "pictures" / "training.png", dpi=110)


if __name__ == "__main__":
    main()
