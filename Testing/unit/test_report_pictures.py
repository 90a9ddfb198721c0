"""Pictures: sides of the patient, order and position of slices, AHA wedges, colours where they belong."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from T1DiffLogic.report import colours
from T1DiffLogic.report.bullseye import segment_wedge, write_bullseye, write_thickening
from T1DiffLogic.report.overlay import write_overlay
from T1DiffLogic.report.phases import write_phases
from T1DiffLogic.report.slice_view import SliceView, field_around, orientation_letters, shown_slices
from T1DiffLogic.study import LV_CAVITY, LV_MYOCARDIUM, SliceReport


@pytest.mark.parametrize(
    ("direction", "letters"),
    [
        ((1, 0, 0), "L"),
        ((0, 1, 0), "P"),
        ((0, 0, 1), "H"),
        ((-1, 0, 0), "R"),
        ((0, -0.8, 0.6), "AH"),
        ((-0.6, 0.0, -0.8), "FR"),
        ((0.2, 0.95, 0.2), "P"),
    ],
)
def test_orientation_letters_are_lps(direction, letters):
    assert orientation_letters(direction) == letters


def test_slices_run_from_base_to_apex_whichever_way_the_stack_is_sorted(synthesis):
    assert shown_slices(synthesis) == [7, 6, 5, 4, 3, 2, 1, 0]
    levels = ("basal", "basal", "mid", "mid", "mid", "apical", "apical", None, None)
    reports = tuple(SliceReport(i, level, level is not None) for i, level in enumerate(levels))
    assert shown_slices(dataclasses.replace(synthesis, slices=reports)) == [0, 1, 2, 3, 4, 5, 6]
    nowhere = tuple(SliceReport(i, None, False, ("no LV found",)) for i in range(9))
    assert shown_slices(dataclasses.replace(synthesis, slices=nowhere)) == list(range(9))


def test_the_field_holds_the_lv_in_every_slice_also_of_an_uneven_stack(non_uniform_synthesis):
    field = field_around(non_uniform_synthesis, (LV_MYOCARDIUM, LV_CAVITY))
    labels = non_uniform_synthesis.segmentation.labels_ed
    for s, geometry in enumerate(non_uniform_synthesis.cine.geometries):
        pixels = np.argwhere(np.isin(labels[s], (LV_MYOCARDIUM, LV_CAVITY)))
        if len(pixels):
            away = np.abs((pixels - field.centres[s]) * geometry.spacing).max()
            assert away < field.side_mm / 2
    assert field.side_mm < 100, "the LV fills the tile"


def test_a_pixel_is_drawn_at_its_place_in_mm(synthesis):
    """One bright pixel: right of centre and below it, by its own spacing (1.5 rows, 1.4 columns)."""
    geometry = synthesis.cine.geometries[3]
    figure = Figure(figsize=(4, 4), dpi=100)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    view = SliceView(axes, geometry, (46.0, 54.0), 80.0)
    rgba = np.zeros((*geometry.shape, 4))
    rgba[46 + 12, 54 + 20] = (1, 1, 1, 1)
    view.colour(rgba)
    canvas.draw()
    bright = np.argwhere(np.asarray(canvas.buffer_rgba())[..., 0] > 128)
    row, column = bright.mean(axis=0)
    assert (column - 199.5) / 400 * 80 == pytest.approx(20 * 1.4, abs=0.3)
    assert (row - 199.5) / 400 * 80 == pytest.approx(12 * 1.5, abs=0.3)


def tile_of(picture, row, column, left=92, tile=(1600 - 92 - 16 - 30) // 6, gap=6, top=132):
    x, y = left + column * (tile + gap), top + row * (tile + gap)
    return picture[y : y + tile, x : x + tile]


@pytest.fixture(scope="module")
def overlay(synthesis, tmp_path_factory):
    path = tmp_path_factory.mktemp("overlay") / "overlay.png"
    write_overlay(synthesis, path)
    picture = np.asarray(Image.open(path).convert("RGB")).astype(int)
    assert picture.shape[1] == 1600
    return picture


def share_of(tile, rgb, tolerance=14):
    return (np.abs(tile - np.array(rgb) * 255).max(axis=-1) < tolerance).mean()


def test_overlay_paints_the_scar_at_the_top_of_the_mid_slices(overlay):
    """Segment 7 (mid anterior, infarcted, 1430 ms) lies at the top, healthy wall at the bottom."""
    tile = tile_of(overlay, row=4, column=2)  # base first: row 4 is slice 3, mid
    scar = colours.colour_t1(np.array(1430.0), np.array(True))[:3]
    half = len(tile) // 2
    assert share_of(tile[:half], scar, 30) > 0.02
    assert share_of(tile[half:], scar, 30) < 0.2 * share_of(tile[:half], scar, 30)


def test_overlay_shows_no_colour_for_a_slice_that_was_not_judged(overlay):
    for column in (2, 3, 5):
        tile = tile_of(overlay, row=0, column=column)  # slice 7 is flagged
        saturation = tile.max(axis=-1) - tile.min(axis=-1)
        assert (saturation > 12).mean() < 0.002
        assert share_of(tile, (0.25, 0.25, 0.25), 3) > 0.4, "hatched over, cine and contours too"
        judged = tile_of(overlay, row=1, column=column)
        assert ((judged.max(axis=-1) - judged.min(axis=-1)) > 12).mean() > 0.02


def test_overlay_without_native_has_four_columns_of_the_same_width(synthesis_without_native, tmp_path):
    write_overlay(synthesis_without_native, tmp_path / "overlay.png")
    assert Image.open(tmp_path / "overlay.png").size[0] == 1600


def test_overlay_of_a_study_without_lv_says_so_instead_of_failing(synthesis, tmp_path):
    background = np.zeros_like(synthesis.segmentation.ed)
    background[:, 0] = 1
    empty = dataclasses.replace(
        synthesis,
        segmentation=dataclasses.replace(synthesis.segmentation, ed=background, es=background),
        slices=tuple(SliceReport(i, None, False, ("no LV found",)) for i in range(9)),
        valid=np.zeros_like(synthesis.valid),
    )
    write_overlay(empty, tmp_path / "overlay.png")
    write_phases(empty, tmp_path / "phases.png")


@pytest.mark.parametrize(
    ("number", "ring", "middle"),
    [
        (1, "basal", 90),
        (2, "basal", 150),
        (4, "basal", 270),
        (6, "basal", 30),
        (9, "mid", 210),
        (11, "mid", 330),
        (13, "apical", 90),
        (14, "apical", 180),
        (15, "apical", 270),
        (16, "apical", 0),
    ],
)
def test_wedges_follow_the_aha_convention(number, ring, middle):
    found, start, end = segment_wedge(number)
    assert found == ring
    assert ((start + end) / 2) % 360 == middle


def test_wedges_tile_each_ring():
    for ring, numbers in (("basal", range(1, 7)), ("mid", range(7, 13)), ("apical", range(13, 17))):
        covered = np.zeros(360, int)
        for number in numbers:
            name, start, end = segment_wedge(number)
            assert name == ring
            covered[np.arange(int(start), int(end)) % 360] += 1
        assert (covered == 1).all()


def test_bullseye_paints_each_segment_in_its_colour_and_hatches_the_empty_one(tmp_path):
    rows = [{"mean_ms": 1200.0, "uncertainty_ms": 9.0} for _ in range(16)]
    rows[0]["mean_ms"] = 1900.0
    rows[3] = {"mean_ms": None, "uncertainty_ms": None}
    provenance = {"trained_on": "annuli of three patients"}
    write_bullseye({"segments": rows, "agreement": None, "provenance": provenance}, tmp_path / "bull.png")
    picture = np.asarray(Image.open(tmp_path / "bull.png").convert("RGB")).astype(int)
    bright = colours.colour_t1(np.array(1900.0), np.array(True))[:3] * 255
    plate = picture[100:800]  # without the colour bar
    rows_of, columns_of = np.nonzero(np.abs(plate - bright).max(axis=-1) < 3)
    assert rows_of.mean() + 100 < 300, "segment 1, anterior, is at the top"
    assert abs(columns_of.mean() - 450) < 10
    grey = np.abs(plate - 0.85 * 255).max(axis=-1) < 2
    assert np.nonzero(grey)[0].mean() + 100 > 650, "segment 4, inferior, is at the bottom"


def test_thickening_is_dark_where_the_wall_hardly_moves_and_hatched_where_unknown(tmp_path):
    rows = [{"thickening_percent": 70.0} for _ in range(16)]
    rows[0], rows[3] = {"thickening_percent": -250.0}, {"thickening_percent": None}
    write_thickening({"segments": rows}, tmp_path / "bull.png")
    plate = np.asarray(Image.open(tmp_path / "bull.png").convert("RGB")).astype(int)[100:800]
    for colour, row in ((colours.thickening_table()[0] * 255, 200), (np.full(3, 0.85 * 255), 560)):
        where = np.nonzero(np.abs(plate - colour).max(axis=-1) < 3)
        assert abs(where[0].mean() - row) < 60 and abs(where[1].mean() - 450) < 20


def test_pictures_say_what_the_model_at_hand_was_trained_on(synthesis, tmp_path):
    """Another model's words change the heading; words too long for the picture stay inside it."""

    def headings(trained_on):
        provenance = synthesis.provenance | {"trained_on": trained_on}
        write_overlay(dataclasses.replace(synthesis, provenance=provenance), tmp_path / "overlay.png")
        rows = [{"mean_ms": 1200.0, "uncertainty_ms": None}] * 16
        result = {"segments": rows, "agreement": None, "provenance": provenance}
        write_bullseye(result, tmp_path / "bull.png")
        pictures = (Image.open(tmp_path / name).convert("L") for name in ("overlay.png", "bull.png"))
        return [np.asarray(p)[:95].astype(int) for p in pictures]

    for short, long in zip(headings("pigs"), headings("many different hearts, " * 20)):
        assert (short != long).any()
        assert (long[:, [0, -1]] == 255).all()
