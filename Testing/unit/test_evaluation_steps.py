"""Steps against accuracy: the figures of the study, nested samples, resumable, and its page."""

import csv

import numpy as np
import pytest
import torch
from evaluation_cases import write_dataset

pytest.importorskip("lightning", reason="lightning is not installed; the methods of the study need it")

from T1DiffLogic.cli import main
from T1DiffLogic.dataset.pairs import PreparedPairs
from T1DiffLogic.engine import checkpoint
from T1DiffLogic.engine.t1diff import T1Diff, T1DiffConfig
from T1DiffLogic.errors import StudyError
from T1DiffLogic.evaluation.cases import Case
from T1DiffLogic.evaluation.contestants import TrainedMethod
from T1DiffLogic.evaluation.measure import measured
from T1DiffLogic.evaluation.steps import StepsStudy
from T1DiffLogic.evaluation.steps_tables import Steps, steps_table, write_steps
from T1DiffLogic.training import methods

TINY = {
    "modality_widths": (8, 16, 16), "modality_bottleneck": 16, "morphology_widths": (8, 8, 16),
    "estimator_widths": (8, 16, 16), "sampler_steps": 2, "samples": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("steps") / "dataset", {"test": [True, False, True]})


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    network = T1Diff(T1DiffConfig(**TINY))
    for part in (network.estimator, network.mean):  # their last layers begin at zero: every map alike
        for parameter in part.parameters():
            torch.nn.init.normal_(parameter, std=0.15)
    return checkpoint.save(network, tmp_path_factory.mktemp("model"), {"trained_on": "nothing"})


def study(dataset, model, out, **more):
    more = {"evaluations": (1, 3), "samples": (1, 3), "say": lambda line: None} | more
    return StepsStudy(dataset, model, out, torch.device("cpu"), **more)


@pytest.fixture(scope="module")
def out(dataset, model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out")
    study(dataset, model, folder).run()
    return folder


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_figures_are_those_of_the_study(dataset, model, out):
    """The same patient through `t1diff evaluate`'s own way, at the same steps and samples."""
    pairs = PreparedPairs(dataset, "test")
    case = Case("test", pairs.patient(pairs.patients[0]))
    method = TrainedMethod("t1diff", model, torch.device("cpu"))
    method.method.sampler_steps = 3
    keys = ("patient", "evaluations", "samples")
    mine = {tuple(r[k] for k in keys): r for r in rows(out / "data" / "steps_patients.csv")}
    for samples in ("1", "3"):
        maps = method.maps(case, int(samples), 0)["mean of samples"]
        expected = measured(case.read(maps), None, None, None)
        row = mine[case.patient, "3", samples]
        for name in ("wall_rmse_ms", "crps_ms", "n_wall"):
            assert float(row[name]) == pytest.approx(expected["patients"][0][name], abs=1e-3), name
        found = {
            r["segment"]: r
            for r in rows(out / "data" / "steps_segments.csv")
            if (r["patient"], r["evaluations"]) == (case.patient, "3")
        }
        assert set(found) == {str(r["segment"]) for r in expected["segments"]}
        for r in expected["segments"]:
            assert float(found[str(r["segment"])]["native_ms"]) == pytest.approx(r["native_ms"], abs=1e-3)
            own = float(found[str(r["segment"])][f"of_{samples}_ms"])
            assert own == pytest.approx(r["synthetic_ms"], abs=1e-3)


def test_steps_and_samples_are_really_taken(out):
    steps = Steps(out / "data")
    assert steps.evaluations == [0, 1, 3]
    errors = {(n, k): steps.figures(n, k, "wall_rmse_ms") for n in (1, 3) for k in (1, 3)}
    assert len({tuple(v) for v in errors.values()}) == 4
    assert all(len(v) == 3 for v in errors.values())
    # averaging takes the samples' noise away
    assert np.mean(errors[3, 3]) < np.mean(errors[3, 1])


def test_the_mean_map_alone_is_the_network_s(dataset, model, out):
    pairs = PreparedPairs(dataset, "test")
    case = Case("test", pairs.patient(pairs.patients[1]))
    method = methods.load(model)
    from T1DiffLogic.engine.precision import inference_precision
    from T1DiffLogic.evaluation.contestants import inputs_of

    with torch.inference_mode(), inference_precision(torch.device("cpu")):
        mean = method.network.mean_ms(method.network.encode(*inputs_of(case).values())).float().numpy()
    expected = measured(case.read(mean[:, None]), None, None, None)["patients"][0]["wall_rmse_ms"]
    (row,) = [
        r
        for r in rows(out / "data" / "steps_patients.csv")
        if (r["patient"], r["evaluations"]) == (case.patient, "0")
    ]
    assert float(row["wall_rmse_ms"]) == pytest.approx(expected, abs=1e-3)


def test_an_interrupted_run_goes_on_and_ends_the_same(dataset, model, out, tmp_path):
    study(dataset, model, tmp_path, patients=1).run()
    half = tmp_path / "data" / "steps_segments.csv"
    whole = half.read_text()
    # a kill between the segments of a pass and the patient's rows
    half.write_text(whole + whole.splitlines()[1].replace("test-0", "test-1") + "\n")
    # and one between the rows of two numbers of samples
    patients = tmp_path / "data" / "steps_patients.csv"
    patients.write_text("\n".join(patients.read_text().splitlines()[:-1]) + "\n")
    study(dataset, model, tmp_path, evaluations=(1,)).run()
    study(dataset, model, tmp_path).run()

    def content(folder, name, drop=()):
        return sorted(tuple(v for k, v in r.items() if k not in drop) for r in rows(folder / "data" / name))

    assert content(tmp_path, "steps_segments.csv") == content(out, "steps_segments.csv")
    drop = ("seconds",)
    assert content(tmp_path, "steps_patients.csv", drop) == content(out, "steps_patients.csv", drop)


def test_the_page_shows_every_row_and_says_what_it_is_of(out):
    page = write_steps(out, lambda line: None).read_text(encoding="utf-8")
    table = steps_table(Steps(out / "data"))
    assert [r[0] for r in table.rows] == ["mean map alone", "1", "3"]
    for said in ("3 test patients", "digital phantoms only", "dpm_solver_pp_2m", "RESEARCH", "seed 0"):
        assert said in page
    assert (out / "figures" / "steps.png").stat().st_size > 5000
    assert len(rows(out / "tables" / "steps.csv")) == 3
    assert page.count("| mean map alone |") == 1


def test_wrong_questions_are_refused(dataset, model, out, tmp_path):
    with pytest.raises(StudyError, match="1000 timesteps"):
        study(dataset, model, tmp_path, evaluations=(1, 1001)).run()
    with pytest.raises(StudyError, match="another seed"):
        study(dataset, model, out, seed=1).run()
    regression = methods.create("regression", "small")
    regression.save(tmp_path / "regression", {})
    with pytest.raises(StudyError, match="no sampler"):
        study(dataset, tmp_path / "regression", tmp_path / "x").run()
    with pytest.raises(StudyError, match="benchmark --steps"):
        Steps(tmp_path)


def test_the_command_needs_an_output_and_measures(dataset, model, tmp_path, capsys):
    words = ["benchmark", "--steps", str(dataset), "--model", str(model), "--device", "cpu"]
    assert main(words) == 2
    assert "-o" in capsys.readouterr().err
    few = ["--evaluations", "1", "--samples", "1", "--patients", "1", "-o", str(tmp_path)]
    assert main([*words, *few, "--progress", "none"]) == 0
    assert (tmp_path / "steps.md").is_file()
