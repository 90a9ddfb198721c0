"""The console API of the Slicer module, line by line, without Slicer."""

import dataclasses

import extension_path  # noqa: F401
import numpy as np
import pytest
from dicom_cases import smooth_cine
from T1DiffLib.module_logic import ModuleLogic

from T1DiffLogic import Cine, StudyError, SynthesisOptions, synthesize
from T1DiffLogic.phantom.dicom_writer import write_cine, write_t1_map

SLICES = slice(3, 6)
CHOICE = {"samples": 2, "steps": 2, "seed": 5, "device": "cpu"}


@pytest.fixture(scope="module")
def heart(synthesis):
    """(cine, labels at ED, labels at ES, insertions) of three slices of the annulus heart."""
    cine, masks = synthesis.cine, synthesis.segmentation
    part = Cine(cine.images[SLICES], cine.geometries[SLICES], cine.trigger_ms[SLICES], cine.source)
    return part, masks.labels_ed[SLICES], masks.labels_es[SLICES], masks.rv_insertions[SLICES]


@pytest.fixture(scope="module")
def logic(heart):
    """The whole way, once."""
    cine, labels_ed, labels_es, insertions = heart
    logic = ModuleLogic()
    logic.setCine(cine)
    logic.setPhases(0, 6)
    logic.setLabels(labels_ed, labels_es)
    logic.setInsertions(insertions)
    logic.segment(device="cpu")
    logic.synthesize(**CHOICE)
    return logic


def test_what_the_person_decided_reaches_the_synthesis(logic, heart):
    cine, labels_ed, labels_es, insertions = heart
    options = SynthesisOptions(ed=0, es=6, labels_ed=labels_ed, labels_es=labels_es,
                               rv_insertions=insertions, **CHOICE)  # fmt: skip
    assert np.array_equal(logic.synthesis.t1_ms, synthesize(cine, options).t1_ms)
    assert np.array_equal(logic.synthesis.segmentation.labels_ed, labels_ed)
    assert np.array_equal(logic.anatomy.segmentation.labels_es, labels_es)
    assert (logic.anatomy.phases.ed, logic.anatomy.phases.es) == (0, 6)


def test_statistics_are_those_of_result_json_and_follow_the_scar_rule(logic):
    from T1DiffLogic.outputs import study_result

    assert logic.statistics() == study_result(logic.synthesis)
    shares = {
        scar: [row["scar_fraction"] for row in logic.statistics(scar)["segments"] if row["n"]]
        for scar in (300, "remote", 3000)
    }
    assert shares[300] and all(share > 0.99 for share in shares[300])
    assert not any(shares[3000]) and any(0 < share < 1 for share in shares["remote"])


def test_nodes_hold_the_map(logic):
    slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
    from T1DiffLogic.scene import headless_scene

    scene = headless_scene()
    nodes = logic.addToScene(scene, scar=3000)
    assert np.array_equal(slicer.util.arrayFromVolume(nodes["t1"]), logic.synthesis.t1_ms)
    column = nodes["table"].GetTable().GetColumnByName("scar_fraction")
    values = [column.GetValue(i) for i in range(column.GetNumberOfValues())]
    assert not any(v for v in values if v == v), "the rule that was asked for"
    assert logic.addCineToScene(scene)["cine"].GetNumberOfDataNodes() == 12
    scene.Clear(True)


def test_a_decision_makes_results_of_before_invalid(logic, heart):
    own = ModuleLogic()
    own.__dict__.update({k: v for k, v in vars(logic).items() if k != "_reviewed"}, _reviewed={})
    own.setPhases(1, 7)
    assert own.anatomy is None and own.synthesis is None
    with pytest.raises(StudyError, match="synthesize"):
        own.statistics()


def test_a_decision_that_does_not_fit_is_refused_and_changes_nothing(heart):
    cine, labels_ed, *_ = heart
    logic = ModuleLogic()
    logic.setCine(cine)
    logic.setPhases(0, 6)
    for refused in (
        lambda: logic.setPhases(0, 99),
        lambda: logic.setPhases(3, 3),
        lambda: logic.setLabels(labels_ed[:2], None),
        lambda: logic.setInsertions(np.zeros((1, 2, 2))),
    ):
        with pytest.raises(StudyError):
            refused()
    assert logic._options().ed == 0 and logic._options().es == 6
    assert logic._options().labels_ed is None and logic._options().rv_insertions is None


def test_none_gives_the_choice_back(heart):
    logic = ModuleLogic()
    logic.setCine(heart[0])
    logic.setPhases(0, 6)
    logic.setPhases(None, 6)
    assert logic._options().ed is None and logic._options().es == 6


def test_a_new_study_forgets_the_last_one(heart, tmp_path):
    cine = smooth_cine(positions=(0, 8, 16))
    paths = write_cine(cine, tmp_path, "ge")
    write_t1_map_of(cine, tmp_path)
    logic = ModuleLogic()
    logic.setCine(heart[0])
    logic.setPhases(0, 6)
    loaded = logic.loadCine(tmp_path)
    assert loaded.n_slices == 3 and logic._options().ed is None
    assert logic.loadNative(tmp_path).n_slices == 3 and logic.native is not None
    assert np.array_equal(logic.loadCine([str(p) for p in paths]).images, loaded.images)
    assert logic.native is None


def write_t1_map_of(cine, folder):
    from dicom_cases import t1_slices

    write_t1_map(dataclasses.replace(t1_slices((0, 8, 16)), geometries=cine.geometries), folder, "ge")


@pytest.mark.parametrize("call", ["segment", "synthesize", "addCineToScene", "setPhases"])
def test_without_a_study_a_sentence_says_what_comes_first(call):
    with pytest.raises(StudyError, match="loadCine"):
        getattr(ModuleLogic(), call)()


@pytest.mark.parametrize(
    "call, arguments", [("statistics", ()), ("addToScene", ()), ("writeOutputs", ("x",))]
)
def test_without_a_synthesis_too(call, arguments):
    with pytest.raises(StudyError, match="synthesize"):
        getattr(ModuleLogic(), call)(*arguments)
