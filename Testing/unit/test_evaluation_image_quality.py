"""Image quality and sharpness against scikit-image, NumPy and closed forms."""

import numpy as np
import pytest

from T1DiffLogic.evaluation.image_quality import errors_ms, image_figures, nmse_percent, psnr_db, ssim
from T1DiffLogic.evaluation.sharpness import HIGH_BAND, gradient_ms_per_mm, high_band_power


def maps():
    generator = np.random.default_rng(3)
    reference = 1200 + 300 * np.sin(np.arange(96) / 9)[:, None] * np.cos(np.arange(96) / 13)
    return (reference + generator.normal(0, 60, reference.shape)).astype(np.float32), reference.astype(
        np.float32
    )


def test_the_papers_psnr_is_105_ms_at_a_range_of_4095():
    reference = np.full((64, 64), 1200.0)
    off = reference + np.where(np.arange(64) % 2, 105.0, -105.0)
    assert psnr_db(off, reference, 4095) == pytest.approx(31.82, abs=0.01)
    assert psnr_db(off, reference, 4095) - psnr_db(off, reference, 2400) == pytest.approx(
        20 * np.log10(4095 / 2400)
    )
    assert psnr_db(reference, reference, 2400) == np.inf


def test_nmse_is_percent_of_the_references_energy():
    assert nmse_percent(np.array([[1100.0, 900.0]]), np.array([[1000.0, 1000.0]])) == pytest.approx(1.0)


@pytest.mark.parametrize("data_range", (2400.0, 4095.0))
def test_ssim_psnr_and_nmse_are_those_of_scikit_image(data_range):
    metrics = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    image, reference = maps()
    expected = metrics.structural_similarity(
        reference.astype(np.float64), image.astype(np.float64), win_size=7, data_range=data_range
    )
    assert ssim(image, reference, data_range) == pytest.approx(expected, abs=1e-9)
    assert psnr_db(image, reference, data_range) == pytest.approx(
        metrics.peak_signal_noise_ratio(reference, image, data_range=data_range), abs=1e-4
    )
    assert nmse_percent(image, reference) == pytest.approx(
        100 * metrics.normalized_root_mse(reference, image) ** 2, rel=1e-5
    )


def test_ssim_by_a_loop_over_windows():
    image, reference = (m[:20, :16].astype(np.float64) for m in maps())
    values = []
    for i in range(3, 17):
        for j in range(3, 13):
            x, y = (m[i - 3 : i + 4, j - 3 : j + 4].ravel() for m in (image, reference))
            c1, c2 = (0.01 * 2400) ** 2, (0.03 * 2400) ** 2
            cov = np.cov(x, y)
            values.append(
                (2 * x.mean() * y.mean() + c1) * (2 * cov[0, 1] + c2)
                / ((x.mean() ** 2 + y.mean() ** 2 + c1) * (cov[0, 0] + cov[1, 1] + c2))
            )  # fmt: skip
    assert ssim(image, reference, 2400) == pytest.approx(np.mean(values), rel=1e-9)


def test_both_data_ranges_are_named():
    assert set(image_figures(*maps())) == {
        "psnr_2400_db", "ssim_2400", "psnr_4095_db", "ssim_4095", "nmse_percent"
    }  # fmt: skip


def test_errors_have_a_sign_and_none_without_pixels():
    errors = errors_ms(np.array([1.0, 5.0]), np.array([2.0, 2.0]))
    assert errors == {"rmse": pytest.approx(np.sqrt(5)), "mae": 2.0, "bias": 1.0}
    assert errors_ms(np.zeros(0), np.zeros(0))["rmse"] is None


def test_the_gradient_of_a_ramp_is_per_millimetre():
    ramp = np.tile(np.arange(40) * 14.0, (40, 1))
    inside = np.zeros((40, 40), bool)
    inside[5:-5, 5:-5] = True
    assert gradient_ms_per_mm(ramp, inside, 1.4) == pytest.approx(10.0)
    assert gradient_ms_per_mm(ramp, np.zeros((40, 40), bool), 1.4) is None


def test_high_band_power_of_white_noise_and_of_a_wave():
    generator = np.random.default_rng(0)
    noise = np.mean([high_band_power(generator.normal(0, 30, (128, 128)), 1.4) for _ in range(8)])
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(128, 1.4)] * 2))
    share = ((frequency >= HIGH_BAND[0]) & (frequency < HIGH_BAND[1])).mean()
    assert noise == pytest.approx(900 * share, rel=0.05)
    x = np.arange(128) * 1.4
    for period, inside in ((5.0, True), (25.0, False)):
        power = high_band_power(np.tile(100 * np.sin(2 * np.pi * x / period), (128, 1)), 1.4)
        assert power == pytest.approx(5000.0 if inside else 0.0, abs=150), period
