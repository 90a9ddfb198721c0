"""Seconds of each stage of one study on this machine: `make bench`. Not part of `make test`."""

import json
import os

import torch

from T1DiffLogic.cli import main


def test_demo_stays_within_a_minute(tmp_path, capsys):
    """The second run is the one that counts: the first reads libraries and weights from a cold disk."""
    for run in ("cold", "warm"):
        assert main(["demo", "-o", str(tmp_path / run), "--progress", "none", "--device", "cpu"]) == 0
    results = [
        json.loads((tmp_path / run / "result.json").read_text(encoding="utf-8")) for run in ("cold", "warm")
    ]
    with capsys.disabled():
        print(f"\n{os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}")
        print(f"{'stage':<14}{'cold':>8}{'warm':>8}  seconds")
        for stage in results[0]["seconds"]:
            cold, warm = (result["seconds"][stage] for result in results)
            print(f"{stage:<14}{cold:>8.1f}{warm:>8.1f}")
        totals = [sum(result["seconds"].values()) for result in results]
        print(f"{'all':<14}{totals[0]:>8.1f}{totals[1]:>8.1f}")
    assert totals[1] <= 60
