"""Colours: the consensus window, holes versus low values, the logarithmic remap."""

from __future__ import annotations

import numpy as np
import pytest

from T1DiffLogic.report import colours


def test_no_value_is_black_and_clear_but_low_values_are_the_darkest_valid_colour():
    values = np.array([0.0, 1.0, 699.0, 700.0, 2000.0, 9000.0])
    rgba = colours.colour_t1(values, values > 0)
    np.testing.assert_array_equal(rgba[0], [0, 0, 0, 0])
    lipari = colours.cm.lipari.colors
    for low in (1, 2, 3):
        np.testing.assert_allclose(rgba[low], [*lipari[1][:3], 1])
    for high in (4, 5):
        np.testing.assert_allclose(rgba[high], [*lipari[255][:3], 1])


def test_brightness_ascends_with_t1_so_scar_is_brighter_than_remote():
    rgba = colours.colour_t1(np.linspace(700, 2000, 400), np.ones(400, bool))
    luminance = rgba[:, :3] @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(luminance) > -0.01).all() and luminance[-1] - luminance[0] > 0.7


def reference_log_index(level, lower, upper, n=256):
    """The remap of doi:10.1002/mrm.30290 for one entry, in the words of domain terms a, m, b."""
    a = upper / np.e
    m = max(a, lower)
    b = 1 / n + ((a - lower) / (2 * a - lower) if a >= lower else 0)
    x = level * (upper - lower) / n + lower
    if x > m:
        return n * (b + (1 - b) * (np.log(x) - np.log(m)) / (np.log(upper) - np.log(m)))
    return 1 + n * (x - lower) / (a - lower) * (b - 1 / n)


@pytest.mark.parametrize("window", [(700.0, 2000.0), (900.0, 1800.0), (0.0, 2400.0)])
def test_log_remap_follows_the_published_rule(window):
    order = np.arange(256)
    remapped = colours.log_remap(order, window)
    assert remapped[0] == 0
    assert (np.diff(remapped) >= 0).all() and remapped[1] >= 1
    expected = [min(255, int(reference_log_index(level, *window) + 1e-7)) for level in range(1, 256)]
    np.testing.assert_array_equal(remapped[1:], np.maximum(expected, 1))


def test_log_remap_spends_more_colours_on_short_t1():
    plain = colours.colour_t1(np.array(1200.0), np.array(True))
    remapped = colours.colour_t1(np.array(1200.0), np.array(True), logarithmic=True)
    assert remapped[0] > plain[0] + 0.1, "1200 ms is further along Lipari, whose red rises"


def test_differences_are_neutral_at_zero_and_of_opposite_hue():
    rgba = colours.colour_difference(np.array([-250.0, 0.0, 250.0]), np.ones(3, bool))
    assert rgba[0, 2] > rgba[0, 0] + 0.2, "below zero is blue"
    assert rgba[2, 0] > rgba[2, 2] + 0.2, "above zero is red"
    assert np.ptp(rgba[1, :3]) < 0.1, "zero has no hue"


def test_text_is_readable_on_every_colour():
    def luminance(rgb):
        rgb = np.asarray(rgb)
        return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ (
            0.2126,
            0.7152,
            0.0722,
        )

    for rgb in colours.lipari_table():
        ink = 1.0 if colours.text_colour(rgb) == "white" else 0.0
        light, dark = sorted((luminance(rgb), ink), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG AA
