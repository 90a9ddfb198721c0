"""The study from a prepared dataset to its page: complete, resumable, and made again from its rows alone."""

import csv
import json
import shutil

import numpy as np
import pytest
import torch
from evaluation_cases import write_dataset

from T1DiffLogic.dataset.pairs import PreparedPairs
from T1DiffLogic.engine import checkpoint
from T1DiffLogic.engine.t1diff import T1Diff, T1DiffConfig
from T1DiffLogic.errors import StudyError
from T1DiffLogic.evaluation import comparisons, probe_tables, scar_tables, tables
from T1DiffLogic.evaluation.cases import Case
from T1DiffLogic.evaluation.contestants import TrainedMethod, inputs_of, next_patients, noise_seed
from T1DiffLogic.evaluation.results import write_results
from T1DiffLogic.evaluation.run import Evaluation, EvaluationOptions
from T1DiffLogic.evaluation.study_records import MEAN, SAMPLE, STEP, StudyRecords
from T1DiffLogic.evaluation.study_results import Study
from T1DiffLogic.evaluation.trivial import training_means, trivial_controls

pytest.importorskip("lightning", reason="lightning is not installed; the methods of the study need it")

TINY = {
    "modality_widths": (8, 16, 16), "modality_bottleneck": 16, "morphology_widths": (8, 8, 16),
    "estimator_widths": (8, 16, 16), "sampler_steps": 2, "samples": 2,
}  # fmt: skip
OPTIONS = EvaluationOptions(samples=2, calibration=2, sensitivity=1, exchanges=1)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    kinds = {
        "train": [True, False, True],
        "validation": [True, False],
        "test": [False, True, True, False, True],
    }
    return write_dataset(tmp_path_factory.mktemp("study") / "dataset", kinds)


def model(folder, seed):
    torch.manual_seed(seed)
    config = T1DiffConfig(**TINY, learned_spread=seed == 0)  # one with a learned SD, one without
    checkpoint.save(T1Diff(config), folder, {"trained_on": "nothing", "minutes": 1.5})
    with (folder / "log.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [["minutes", "step", "mean_rmse_ms", "sampled_rmse_ms"], [1, 10, 90, ""], [2, 20, 80, 85]]
        )
    return folder


@pytest.fixture(scope="module")
def methods(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {"ours": model(folder / "ours", 0), "rival": model(folder / "rival", 1)}


def evaluation(dataset, out, methods, options=OPTIONS, **more):
    more = {"command": "t1diff evaluate dataset", "say": lambda line: None} | more
    return Evaluation(dataset, out, methods, options, torch.device("cpu"), **more)


@pytest.fixture(scope="module")
def study(dataset, methods, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "study"
    shift = write_dataset(out.parent / "shift", {"test": [True, False]}, first_seed=50)
    assert evaluation(dataset, out, methods, shifts={"vendor shift": shift}).run() == 0
    write_results(out, lambda line: None)
    return out


def cases_in(dataset, split):
    pairs = PreparedPairs(dataset, split)
    return [Case(split, pairs.patient(p)) for p in pairs.patients]


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def contents(folder, *suffixes):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.suffix in suffixes}


def test_every_method_control_and_ceiling_is_measured_on_every_patient(study):
    patients = rows(study / "data" / "patients.csv")
    per = {}
    for row in patients:
        per.setdefault((row["method"], row["variant"], row["group"]), set()).add(row["patient"])
    for name in ("ours", "rival"):
        for variant in (MEAN, SAMPLE, STEP):
            assert per[name, variant, "test"] == {f"test-{i}" for i in range(5)}
            assert len(per[name, variant, "vendor shift"]) == 2
    for name in ("ours, another patient's cine", "training-mean map", "mean of each segment", "texture alone",
                 "motion alone", "texture and motion", "second scan", "noise-free truth",
                 "truth of an average person"):  # fmt: skip
        assert len(per[name, "", "test"]) == 5, name
    keys = [tuple(r[k] for k in ("group", "method", "variant", "patient")) for r in patients]
    assert len(keys) == len(set(keys))
    assert len(rows(study / "data" / "slices.csv")) == 3 * len(patients)
    assert len(rows(study / "data" / "scar.csv")) == 3 * len(patients)


def test_the_page_holds_every_table_and_figure_and_says_what_it_is_of(study):
    page = (study / "study.md").read_text(encoding="utf-8")
    for name in ("table1", "table2", "paper", "agreement_global", "agreement_segments", "scar_segments",
                 "scar_extent", "uncertainty", "controls", "significance", "shifts", "sensitivity",
                 "disentanglement", "beyond", "training"):  # fmt: skip
        assert f"(tables/{name}.csv)" in page and len(rows(study / "tables" / f"{name}.csv")) > 0, name
    for name in ("fig2_images", "fig3_heatmaps", "fig4_agreement", "fig5_patients", "calibration", "standing",
                 "convergence", "disentanglement"):  # fmt: skip
        assert f"figures/{name}.png" in page and (study / "figures" / f"{name}.png").stat().st_size > 5000, (
            name
        )
    for said in ("5 test patients, 15 slices", "digital phantoms only", "seed 0", "t1diff evaluate dataset",
                 "RESEARCH"):  # fmt: skip
        assert said in page
    assert "nan" not in page.lower().replace("finance", "")


def test_made_again_from_its_data_alone_it_is_the_same(study, tmp_path):
    shutil.copytree(study / "data", tmp_path / "data")
    write_results(tmp_path, lambda line: None)
    for suffixes in ((".csv", ".md"), (".svg",)):
        old, new = contents(study, *suffixes), contents(tmp_path, *suffixes)
        assert old == new


def test_nothing_is_measured_twice_and_an_interrupted_run_comes_to_the_same(
    study, dataset, methods, tmp_path
):
    shutil.copytree(study, tmp_path / "study")
    data = tmp_path / "study" / "data"
    before = contents(data, ".csv")
    # killed while writing a patient of the rival: its rows are there, its line in done.csv is not
    done = (data / "done.csv").read_text().splitlines(keepends=True)
    lost = next(i for i, line in enumerate(done) if line.startswith("measure,test,rival,test-3"))
    (data / "done.csv").write_text("".join(done[:lost] + done[lost + 1 :]))
    said = []
    evaluation(dataset, tmp_path / "study", methods, say=said.append).run()
    assert [line for line in said if ": 1/" in line] == ["rival, test: 1/1"]
    for name, old in before.items():
        assert sorted(old.splitlines()) == sorted((data / name).read_bytes().splitlines()), name


def test_other_weights_under_the_same_name_are_measured_anew(study, dataset, methods, tmp_path):
    shutil.copytree(study, tmp_path / "study")
    other = {"ours": methods["ours"], "rival": model(tmp_path / "other", 7)}
    said = []
    evaluation(dataset, tmp_path / "study", other, say=said.append).run()
    assert [line for line in said if "other weights" in line] == [
        "rival: other weights than before; measured again"
    ]
    assert sum(line.startswith("rival, test: ") for line in said) == 5
    assert not any(line.startswith("ours, test: ") for line in said)
    run = json.loads((tmp_path / "study" / "data" / "run.json").read_text())
    config = checkpoint.read_config(tmp_path / "other")
    assert run["methods"]["rival"]["weights_sha256"] == config["weights_sha256"]


def test_the_same_weights_sampled_otherwise_are_measured_anew(study, dataset, methods, tmp_path):
    shutil.copytree(study, tmp_path / "study")
    shutil.copytree(methods["rival"], tmp_path / "leveled")
    path = tmp_path / "leveled" / "config.json"
    config = json.loads(path.read_text())
    config["architecture"]["level_sd_ms"] = 40.0
    path.write_text(json.dumps(config))
    said = []
    other = {"ours": methods["ours"], "rival": tmp_path / "leveled"}
    evaluation(dataset, tmp_path / "study", other, say=said.append).run()
    assert any(line.startswith("rival: other weights") for line in said)
    run = json.loads((tmp_path / "study" / "data" / "run.json").read_text())
    assert (run["methods"]["rival"]["level_sd_ms"], run["methods"]["ours"]["level_sd_ms"]) == (40.0, 0.0)


def test_a_dataset_that_was_prepared_again_is_another_study(study, dataset, methods, tmp_path):
    shutil.copytree(study, tmp_path / "study")
    shutil.copytree(dataset, tmp_path / "dataset")
    path = tmp_path / "dataset" / "pairs.csv"
    path.write_text(path.read_text().replace("mid", "apical", 1))
    with pytest.raises(StudyError, match="is not what .* was measured on; give an empty folder"):
        evaluation(tmp_path / "dataset", tmp_path / "study", methods).run()


def test_what_a_shift_costs_is_told_beside_the_same_hearts(study):
    found = probe_tables.shift_table(Study(study / "data"))
    mine = [r for r in found.rows if r[0].startswith("ours, mean")]
    assert [r[1] for r in mine] == ["test", "test, 2 of them", "vendor shift"]
    errors = {
        r["patient"]: float(r["wall_rmse_ms"])
        for r in rows(study / "data" / "patients.csv")
        if (r["group"], r["method"], r["variant"]) == ("test", "ours", MEAN)
    }
    assert mine[1][2][1][0] == pytest.approx(np.mean([errors["test-0"], errors["test-1"]]))
    assert mine[0][2][1][0] == pytest.approx(np.mean(list(errors.values())))


def test_another_study_is_not_mixed_in(study, dataset, methods):
    with pytest.raises(StudyError, match="another seed"):
        evaluation(dataset, study, methods, EvaluationOptions(samples=2, seed=1)).run()
    with pytest.raises(StudyError, match="no measured study"):
        write_results(study / "nowhere")


def test_ceilings_and_means_stand_where_they_must(study):
    """What is true of any data with this noise: truth beats the second scan by √2, and R is near one."""
    s = Study(study / "data")
    scan, truth = (
        np.mean(list(s.figures(m, "wall_rmse_ms").values())) for m in ("second scan", "noise-free truth")
    )
    assert scan / truth == pytest.approx(np.sqrt(2), rel=0.03) and truth == pytest.approx(28, rel=0.05)
    assert tables.segment_agreement(s, "noise-free truth")["pearson_r"] > 0.99
    assert max(s.figures("noise-free truth", "wall_truth_rmse_ms").values()) == 0
    extent = scar_tables.extent(s, "noise-free truth", "", "fixed")
    sick = [r for r in extent.values() if r["dice"] is not None]
    assert len(sick) == 3 and all(r["dice"] == 1 for r in sick)


def test_a_method_that_is_the_truth_is_ahead_of_all(study, tmp_path):
    """The words of the comparison, with the roles of method and ceiling exchanged in the records."""
    shutil.copytree(study / "data", tmp_path / "data")
    path = tmp_path / "data" / "run.json"
    run = json.loads(path.read_text())
    run["reference"] = "noise-free truth"
    path.write_text(json.dumps(run))
    s = Study(tmp_path / "data")
    found = comparisons.compare(s)
    assert all(c.verdict != "behind" for c in found if c.measure.name in ("segment_r", "wall_rmse_ms"))
    assert any(c.verdict == "ahead" for c in found if c.measure.name == "segment_r")
    errors = {c.rival: c for c in found if c.measure.name == "wall_rmse_ms"}
    ours, theirs = (s.figures(m, "wall_rmse_ms") for m in ("noise-free truth", "ours"))
    assert errors["ours"].difference == pytest.approx(np.mean([ours[p] - theirs[p] for p in ours]))
    biases = {c.rival: c.difference for c in found if c.measure.name == "scar_bias"}

    def off_by(method, rule):
        found = scar_tables.extent(s, method, None, rule).values()
        return abs(np.mean([r["percent"] - r["native_percent"] for r in found]))

    off = [np.mean([off_by(m, r) for r in ("fixed", "remote", "roc")]) for m in ("noise-free truth", "ours")]
    assert biases["ours"] == pytest.approx(off[0] - off[1])
    # five patients cannot be significant by Wilcoxon: 2 / 2⁵ at best
    assert errors["ours"].p == pytest.approx(2 / 2**5) and errors["ours"].verdict == "undecided"


def test_the_trivial_controls_know_the_training_patients_alone(dataset):
    pairs = PreparedPairs(dataset, "train")
    means = training_means(pairs)
    cases = cases_in(dataset, "train")
    native = np.concatenate([c.native_ms[c.record["labels_t1"] == 2] for c in cases]).astype(float)
    assert means.label_ms[2] == pytest.approx(native.mean(), rel=1e-6) and means.patients == 3
    number = 9
    expected = np.concatenate([c.native_ms[c.record["aha_t1"] == number] for c in cases]).astype(float)
    assert means.segment_ms[number] == pytest.approx(expected.mean(), rel=1e-6)
    middle = np.mean([c.native_ms[1] for c in cases], axis=0)
    assert means.map_ms[1] == pytest.approx(middle, rel=1e-5)
    case = cases_in(dataset, "test")[0]
    found = {c.kind: c.readings(case, 1, 0)[""] for c in trivial_controls(means)}
    assert found["segment means"].t1_ms[case.record["aha"] == number] == pytest.approx(
        means.segment_ms[number]
    )
    # an infarct is brighter in these cines: texture must move the right way
    texture = found["texture"].t1_ms[case.record["aha"] == number].mean() - means.segment_ms[number]
    signal = inputs_of(case)["cine"][:, 0].numpy()[case.record["aha"] == number].mean()
    slope = means.slope[0, 0]
    assert slope > 0 and texture == pytest.approx(slope * (signal - means.feature[number, 0]), rel=1e-3)


def test_a_method_sees_neither_the_native_map_nor_other_patients_noise(dataset, methods):
    cases = cases_in(dataset, "test")
    assert set(inputs_of(cases[0])) == {"cine", "soft_ed", "soft_es"}
    assert noise_seed(0, cases[0]) != noise_seed(0, cases[1]) != noise_seed(1, cases[1])
    method = TrainedMethod("ours", methods["ours"], torch.device("cpu"))
    maps = method.maps(cases[0], 3, 0)
    assert maps[MEAN].shape == (3, 3, 128, 128) and (maps[SAMPLE] == maps[MEAN][:, :1]).all()
    assert maps[STEP].shape == (3, 1, 128, 128) and method.method.sampler_steps is None
    assert (method.maps(cases[0], 3, 0)[MEAN] == maps[MEAN]).all()
    readings = method.readings(cases[0], 3, 0)
    known = method.method.sd_ms(inputs_of(cases[0])).numpy()
    assert known.shape == (3, 128, 128) and np.allclose(readings[MEAN].sd_ms, known)
    assert not readings[SAMPLE].sd_ms.any()
    rival = TrainedMethod("rival", methods["rival"], torch.device("cpu")).readings(cases[0], 3, 0)[MEAN]
    assert np.allclose(rival.sd_ms, rival.samples_ms.std(axis=0, ddof=1))
    donors = next_patients(cases)
    assert donors[cases[-1].patient] is cases[0] and all(donors[c.patient] is not c for c in cases)


def test_rows_of_unfinished_work_are_dropped_on_opening(tmp_path):
    records = StudyRecords(tmp_path)
    key = ("measure", "test", "m", "a")
    records.add(key, {"patients": [{"variant": "", "x": 1.0}], "slices": [{"variant": "", "slice": 1}]})
    with (tmp_path / "patients.csv").open("a") as file:
        file.write("test,m,b,,2.0\n")
    with (tmp_path / "done.csv").open("a") as file:
        file.write("measure,test,m,")
    again = StudyRecords(tmp_path)
    assert again.done == {key} and [r["patient"] for r in rows(tmp_path / "patients.csv")] == ["a"]
    again.forget("m")
    assert not again.done and not (tmp_path / "slices.csv").exists()


def test_a_regression_that_is_the_reference_is_not_compared_with_itself(study):
    measured = Study(study / "data")
    measured.run["methods"]["ours"]["kind"] = "regression"
    aims = comparisons.aims(measured, comparisons.compare(measured))
    assert aims and not any("regression" in aim for aim, _, _ in aims)
