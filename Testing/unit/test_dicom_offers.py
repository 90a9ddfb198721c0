"""What the DICOM browser is offered is what the readers then load, to the last pixel."""

import numpy as np
import pydicom
import pytest
from dicom_cases import edit, smooth_cine, t1_slices

from T1DiffLogic.dicom.cine import read_cine
from T1DiffLogic.dicom.offers import offers_in, selected
from T1DiffLogic.dicom.t1map import read_t1_map
from T1DiffLogic.errors import StudyError
from T1DiffLogic.phantom import DIALECTS
from T1DiffLogic.phantom.dicom_writer import write_cine, write_screenshot, write_t1_map


def below(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def cines(offers):
    return [offer for offer in offers if offer.kind == "cine"]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_stack_is_offered_whole_and_loads_as_from_its_folder(tmp_path, dialect):
    cine = smooth_cine()
    own = write_cine(cine, tmp_path, dialect, seed=3)
    offer, *others = sorted(cines(offers_in(below(tmp_path))), key=lambda o: not o.confirmed)
    assert offer.confirmed and (offer.n_slices, offer.n_phases) == (5, 8)
    assert not any(other.confirmed for other in others), "scouts and long axes are no short axis"
    assert {path for part in offer.parts for path in part} == set(own)
    loaded, whole = read_cine(offer.source), read_cine(tmp_path)
    assert np.array_equal(loaded.images, whole.images)
    assert np.array_equal(loaded.trigger_ms, whole.trigger_ms)


def test_a_series_per_slice_makes_one_offer_of_several_parts(tmp_path):
    write_cine(smooth_cine(), tmp_path, "siemens", extras=False)
    (offer,) = offers_in(below(tmp_path))
    assert len(offer.parts) == 5 and all(len(part) == 8 for part in offer.parts)
    for part in offer.parts:
        assert len({pydicom.dcmread(path).SeriesInstanceUID for path in part}) == 1


def test_each_study_has_its_own_offer(tmp_path):
    for seed in (1, 2):
        write_cine(smooth_cine(), tmp_path / str(seed), "ge", seed=seed, extras=False)
    offers = offers_in(below(tmp_path))
    assert [offer.n_slices for offer in offers] == [5, 5] and all(offer.confirmed for offer in offers)
    for offer in offers:
        assert len({path.parent for part in offer.parts for path in part}) == 1
        read_cine(offer.source)  # refuses several studies


def test_maps_are_offered_and_their_pictures_are_not(tmp_path):
    t1 = t1_slices()
    write_t1_map(t1, tmp_path, "philips")
    write_screenshot(t1, tmp_path)
    (offer,) = offers_in(below(tmp_path))
    assert offer.kind == "T1 map" and offer.confirmed and offer.n_slices == 5
    assert np.abs(read_t1_map(offer.source).values_ms - t1.values_ms).max() <= 0.25


def test_a_damaged_file_stays_with_its_stack(tmp_path):
    """Without it the reader would take a stack with a gap for the whole."""
    paths = write_cine(smooth_cine(), tmp_path, "ge", extras=False)
    with open(paths[0], "rb") as file:
        start = file.read()
    paths[0].write_bytes(start[: len(start) // 2])
    offers = cines(offers_in(below(tmp_path)))
    assert paths[0] in {path for offer in offers for part in offer.parts for path in part}
    with pytest.raises(StudyError, match="export the file again"):
        read_cine(offers[0].source)


def test_one_long_axis_series_alone_is_not_offered(tmp_path):
    write_cine(smooth_cine(), tmp_path, "ge")
    long_axis = [
        path for path in below(tmp_path) if "LAX" in str(pydicom.dcmread(path).get("SeriesDescription", ""))
    ]
    assert long_axis and not offers_in(long_axis)


def test_a_lone_slice_without_a_telling_name_is_offered_but_not_chosen(tmp_path):
    paths = write_cine(smooth_cine(positions=(0,)), tmp_path, "ge", extras=False)
    edit(paths, lambda dataset, _: setattr(dataset, "SeriesDescription", "cine"))
    (offer,) = offers_in(paths)
    assert not offer.confirmed and "without a stack" in offer.note
    edit(paths, lambda dataset, _: setattr(dataset, "SeriesDescription", "cine SAX"))
    assert offers_in(paths)[0].confirmed


def test_names_of_patients_do_not_reach_the_label(tmp_path):
    paths = write_cine(smooth_cine(), tmp_path, "ge", patient="Mustermann^Erika", extras=False)
    edit(paths, lambda dataset, _: setattr(dataset, "SeriesDescription", "SAX Mustermann"))
    (offer,) = offers_in(paths)
    assert "Mustermann" not in offer.label + offer.note


def test_nothing_to_offer(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    assert offers_in([]) == [] and offers_in([tmp_path / "notes.txt"]) == []
    with pytest.raises(StudyError, match="no DICOM file"):
        selected([])


def test_files_of_two_folders_are_one_source(tmp_path):
    cine = smooth_cine()
    paths = write_cine(cine, tmp_path / "a", "ge", extras=False)
    other = tmp_path / "b" / "deep"
    other.mkdir(parents=True)
    moved = [path.rename(other / path.name) for path in paths[:20]]
    assert np.array_equal(read_cine(selected(moved + paths[20:])).images, cine_of(tmp_path))


def cine_of(folder):
    return read_cine(folder).images
