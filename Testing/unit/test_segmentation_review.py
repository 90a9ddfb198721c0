"""The anatomy of a study when a person has reviewed it, with the installed segmenter."""

import numpy as np
import pytest

from T1DiffLogic.options import SynthesisOptions
from T1DiffLogic.phantom.draws import patient_seed
from T1DiffLogic.phantom.patient import digital_patient
from T1DiffLogic.segmentation import segment
from T1DiffLogic.study import Cine


@pytest.fixture(scope="module")
def patient():
    return digital_patient(patient_seed("test", 42), phases=8, infarcted=False)


def test_one_contour_for_both_phases_does_not_make_a_beating_slice_motionless(patient):
    """The area curve of all phases tells that the slice moves, here as in the synthesis."""
    full = patient.cine
    middle = full.n_slices // 2
    keep = [middle - 1, middle, middle + 1]
    cine = Cine(full.images[keep], [full.geometries[s] for s in keep], full.trigger_ms[keep], full.source)
    labels = patient.labels[keep, patient.ed]
    anatomy = segment(cine, SynthesisOptions(labels_ed=labels, labels_es=labels, device="cpu"))
    assert np.array_equal(anatomy.segmentation.labels_es, labels)
    assert anatomy.judged.all(), anatomy.flags
