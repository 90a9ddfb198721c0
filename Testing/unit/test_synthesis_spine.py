"""The spine on a digital patient that was never trained on, with the installed weights."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from T1DiffLogic import sampling
from T1DiffLogic.anatomy.quality import field_strength_flags
from T1DiffLogic.engine import checkpoint
from T1DiffLogic.engine.t1diff import T1Diff, T1DiffConfig
from T1DiffLogic.errors import Cancelled, StudyError
from T1DiffLogic.options import SynthesisOptions
from T1DiffLogic.phantom.draws import patient_seed
from T1DiffLogic.phantom.patient import digital_patient
from T1DiffLogic.progress import Stopwatch
from T1DiffLogic.resources import installed_segmenter, model_folder
from T1DiffLogic.study import LV_CAVITY, LV_MYOCARDIUM, Cine
from T1DiffLogic.synthesis import synthesize

OPTIONS = SynthesisOptions(samples=2, steps=4, seed=3, device="cpu")


@pytest.fixture(scope="module")
def patient():
    return digital_patient(patient_seed("test", 40), phases=14, infarcted=True)


@pytest.fixture(scope="module")
def cine(patient) -> Cine:
    """The slices where the T1 map lies and the most apical one, to save time on the others."""
    full = patient.cine
    centres = np.array([g.centre for g in full.geometries])
    at = {int(np.linalg.norm(centres - g.centre, axis=1).argmin()) for g in patient.t1.geometries}
    keep = sorted(at | {0})
    return Cine(full.images[keep], [full.geometries[s] for s in keep], full.trigger_ms[keep], full.source)


@pytest.fixture(scope="module")
def made(patient, cine):
    """(Synthesis with the native map, stage seconds, progress events)."""
    watch, events = Stopwatch(), []
    synthesis = synthesize(cine, OPTIONS, patient.t1, lambda *event: events.append(event), watch)
    return synthesis, watch.seconds, events


@pytest.fixture(scope="module")
def synthesis(made):
    return made[0]


def wall(synthesis):
    return (synthesis.segmentation.labels_ed == LV_MYOCARDIUM) & synthesis.valid.astype(bool)


def test_phases_are_the_true_ones(synthesis, patient):
    # 14 phases: one here is nearly two of 25
    assert abs((synthesis.phases.ed - patient.ed + 7) % 14 - 7) <= 1
    assert abs(synthesis.phases.es - patient.es) <= 1


def test_map_is_the_mean_of_its_samples_and_has_values_where_valid(synthesis):
    assert np.allclose(synthesis.t1_ms, synthesis.samples_ms.mean(axis=0), atol=0.01)
    outside = ~synthesis.valid.astype(bool)
    assert not synthesis.t1_ms[outside].any() and not synthesis.sd_ms[outside].any()
    assert wall(synthesis).sum() > 500
    assert 900 < np.median(synthesis.t1_ms[wall(synthesis)]) < 1700


def test_the_sd_map_is_what_the_model_has_learned_whatever_is_drawn(synthesis, cine):
    again = synthesize(cine, replace(OPTIONS, samples=1, steps=1, seed=9))
    assert np.abs(again.t1_ms - synthesis.t1_ms).max() > 20
    assert np.allclose(again.sd_ms, synthesis.sd_ms, atol=0.5)
    inside = synthesis.sd_ms[wall(synthesis)]
    assert inside.min() > 20 and np.median(inside) < 150 and inside.std() > 3


def test_a_model_without_a_learned_spread_has_the_sd_of_its_samples(cine, tmp_path):
    older = T1DiffConfig(
        modality_widths=(8, 16, 24), modality_bottleneck=24, morphology_widths=(8, 8, 16),
        estimator_widths=(8, 16, 24),
    )  # fmt: skip
    torch.manual_seed(1)
    model = T1Diff(older)
    torch.nn.init.normal_(model.estimator.head.weight, std=0.1)
    checkpoint.save(model, tmp_path, {})
    several = synthesize(cine, replace(OPTIONS, model=tmp_path))
    assert several.sd_ms.max() > 1
    assert np.allclose(several.sd_ms, several.samples_ms.std(axis=0, ddof=1), atol=0.01)
    assert not synthesize(cine, replace(OPTIONS, model=tmp_path, samples=1)).sd_ms.any()


def test_flagged_slices_have_no_value_and_judged_ones_do(synthesis):
    for report in synthesis.slices:
        assert synthesis.valid[report.index].any() == report.valid


def test_native_map_lies_on_the_cine(synthesis, patient):
    both = wall(synthesis) & (synthesis.native_ms > 0)
    assert both.sum() > 100
    assert 1000 < np.median(synthesis.native_ms[both]) < 1600
    cavity = (synthesis.segmentation.labels_ed == LV_CAVITY) & (synthesis.native_ms > 0)
    assert np.median(synthesis.native_ms[cavity]) > np.median(synthesis.native_ms[both]) + 200


def test_stages_are_timed_and_reported_in_order(made):
    _, seconds, events = made
    assert list(seconds) == ["model", "segment", "align", "synthesize"]
    stages = list(dict.fromkeys(event[0] for event in events))
    assert stages == ["model", "segment", "align", "synthesize"]
    for stage in stages:
        fractions = [event[1] for event in events if event[0] == stage]
        assert fractions == sorted(fractions) and fractions[-1] == pytest.approx(1.0)


def test_provenance_says_how_it_was_made(synthesis):
    p = synthesis.provenance
    assert (p["seed"], p["samples"], p["steps"], p["device"]) == (3, 2, 4, "cpu")
    assert len(p["weights_sha256"]) == 64 and p["model"] == model_folder("fast").name
    assert any("NOT FOR CLINICAL USE" in notice for notice in p["notices"])
    assert any(p["trained_on"] in notice for notice in p["notices"])
    config = json.loads((installed_segmenter() / "config.json").read_text(encoding="utf-8"))
    assert p["segmenter"] == {
        "name": "gf_unet",
        "weights_sha256": config["weights_sha256"],
        "trained_on": config["metadata"]["trained_on"],
    }
    json.dumps(p)


def test_same_seed_same_map_at_any_batch_size(synthesis, cine, monkeypatch):
    again = synthesize(cine, OPTIONS)
    assert again.t1_ms.tobytes() == synthesis.t1_ms.tobytes()
    monkeypatch.setitem(sampling.MAPS_AT_ONCE, "cpu", 100)
    other = synthesize(cine, OPTIONS)
    assert np.abs(other.samples_ms - synthesis.samples_ms).max() < 0.5


def test_another_seed_is_another_draw(synthesis, cine):
    other = synthesize(cine, replace(OPTIONS, seed=4))
    apart = np.abs(other.samples_ms - synthesis.samples_ms).mean(axis=0)[wall(synthesis)]
    assert apart.mean() > 0.5


def test_own_masks_handed_back_barely_move_the_map_and_corrected_ones_do(synthesis, cine):
    masks = synthesis.segmentation
    own = synthesize(cine, replace(OPTIONS, labels_ed=masks.labels_ed, labels_es=masks.labels_es))
    where = wall(synthesis) & wall(own)
    barely = np.abs(own.t1_ms - synthesis.t1_ms)[where].mean()
    assert barely < 12
    # single pixels at the wall's edge may change sides: masks handed back are hard, the network's are soft
    assert np.quantile(np.abs(own.t1_ms - synthesis.t1_ms)[where], 0.98) < 100

    # the clinician finds that one side of the LV does not thicken: there, ES looks as ED does
    corrected = masks.labels_es.copy()
    half = np.zeros(corrected.shape, bool)
    for s, labels in enumerate(masks.labels_ed):
        columns = np.nonzero((labels == LV_CAVITY).any(axis=0))[0]
        if columns.size:
            half[s, :, int(columns.mean()) :] = True
    corrected[half] = masks.labels_ed[half]
    changed = synthesize(cine, replace(OPTIONS, labels_es=corrected))
    moved = changed.t1_ms - synthesis.t1_ms
    where = wall(synthesis) & wall(changed)
    # a wall that does not thicken looks more like an infarct, and only there
    assert moved[where & half].mean() > 1.5 * barely
    assert np.abs(moved[where & half]).mean() > 2 * np.abs(moved[where & ~half]).mean()


def test_given_phases_are_taken(cine):
    synthesis = synthesize(cine, replace(OPTIONS, ed=1, es=6))
    assert (synthesis.phases.ed, synthesis.phases.es, synthesis.phases.given) == (1, 6, True)
    assert any("given" in note for note in synthesis.provenance["notes"])


def test_intensities_far_from_training_are_flagged_and_not_painted(cine, tmp_path):
    from T1DiffLogic.anatomy.normalisation import FEATURES

    shutil.copytree(model_folder("fast"), tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["metadata"]["intensity"] = {
        "features": list(FEATURES),
        "mean": [9.0] * len(FEATURES),
        "sd": [0.1] * len(FEATURES),
        "limit": 5.0,
    }
    path.write_text(json.dumps(config), encoding="utf-8")
    synthesis = synthesize(cine, replace(OPTIONS, model=tmp_path / "model"))
    assert not synthesis.valid.any() and not synthesis.t1_ms.any()
    assert all("far from" in " ".join(report.flags) for report in synthesis.slices)


@pytest.mark.parametrize("stage", ["model", "segment", "synthesize"])
def test_cancel_stops_at_once(cine, stage):
    def cancel(at, fraction, message=""):
        if at == stage:
            raise Cancelled

    with pytest.raises(Cancelled):
        synthesize(cine, OPTIONS, progress=cancel)


def test_reviewed_labels_must_fit(cine):
    grid = (cine.n_slices, *cine.images.shape[2:])
    for labels, said in (
        (np.zeros((1, 5, 5), int), "shape"),
        (np.full(grid, 7), "0 to 3"),
        (np.zeros(grid, int), "LV cavity"),
    ):
        with pytest.raises(StudyError, match=said):
            synthesize(cine, replace(OPTIONS, labels_ed=labels))


@pytest.mark.parametrize(
    "tesla, flagged, noted", [(3.0, 0, 0), (2.89, 0, 0), (1.5, 1, 0), (7.0, 1, 0), (None, 0, 1)]
)
def test_field_strength(tesla, flagged, noted):
    flags, notes = field_strength_flags(tesla)
    assert (len(flags), len(notes)) == (flagged, noted)


def test_more_steps_than_there_are_timesteps_are_refused():
    with pytest.raises(StudyError, match="--steps"):
        replace(OPTIONS, steps=5000)
