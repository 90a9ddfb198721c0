"""Run as a program: a few updates on N devices; writes each update's loss, averaged over them.

python training_on_devices.py METHOD DATASET OUT DEVICES UPDATES
"""

import json
import sys
from functools import partial
from pathlib import Path

import torch
from training_cases import small

from T1DiffLogic.training import budget, methods
from T1DiffLogic.training.budget import Budget
from T1DiffLogic.training.prepared import PreparedData
from T1DiffLogic.training.train import RunOptions, train
from T1DiffLogic.training.validation import Validation

METHOD, DATASET, OUT, DEVICES, UPDATES = sys.argv[1:]

budget.WARM_UP = 4
torch.manual_seed(0)
base = methods.method_class(METHOD)


class Recorded(base):
    """The method, whose losses are kept."""

    def training_step(self, inputs, index):
        super().training_step(inputs, index)
        loss = self.trainer.strategy.reduce(self.losses["network"], reduce_op="mean")
        kept.append((self.progress.stage, float(loss)))

    def describe(self, batches):
        return {}


kept = []
method = small(Recorded) if METHOD == "t1diff" else Recorded(methods.configuration(METHOD, "small"))
data = PreparedData(Path(DATASET), 8, 0)
validation = partial(Validation.prepared, Path(DATASET), torch.device("cpu"))
options = RunOptions(Budget(updates=int(UPDATES)), devices=int(DEVICES))
train(method, data, validation, Path(OUT), options, say=lambda text: None)
if method.trainer.is_global_zero:
    (Path(OUT) / "losses.json").write_text(json.dumps(kept), encoding="utf-8")
