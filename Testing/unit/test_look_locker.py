"""Look-Locker fit: closed form, SciPy's nonlinear least squares, polarity, and what it must refuse."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import curve_fit

from T1DiffLogic.look_locker import fit_magnitude, fit_signed

MOLLI_533 = [120, 1120, 2120, 3120, 4120, 200, 1200, 2200]
MOLLI_33_35_SLOW = [100, 1300, 2500, 350, 1550, 2750, 150, 1350, 2550, 3750, 4950]
MOLLI_443_FAST = [90, 690, 1290, 1890, 170, 770, 1370, 1970, 250, 850, 1450]
SEVEN_UNEVEN = [110, 187, 260, 900, 1014, 2310, 4077]
TIME_SETS = pytest.mark.parametrize("times", [MOLLI_533, MOLLI_33_35_SLOW, MOLLI_443_FAST, SEVEN_UNEVEN])


def look_locker_signal(t1, times, share=0.86, amplitude=137.0):
    """S = A − B·exp(−t/T1*) with T1* = `share`·T1 and B/A = 1 + T1/T1*, (…, N) float64."""
    t1_star = share * np.asarray(t1, float)[..., None]
    return amplitude * (1 - (1 + 1 / share) * np.exp(-np.asarray(times, float) / t1_star))


@TIME_SETS
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 7e-4), (torch.float32, 8e-4)])
def test_noise_free_signal_gives_its_t1_back(times, dtype, tolerance):
    t1 = np.geomspace(200, 2500, 60)
    signal = torch.as_tensor(look_locker_signal(t1, times), dtype=dtype)
    fitted, r2 = fit_signed(signal, torch.tensor(times, dtype=torch.float64))
    assert fitted.dtype == dtype
    np.testing.assert_allclose(fitted.numpy(), t1, rtol=tolerance)
    assert r2.min() > 0.9999


def test_amplitude_does_not_matter():
    signal = look_locker_signal([800, 1200, 1800], MOLLI_533, amplitude=1.0)
    times = torch.tensor(MOLLI_533)
    small, _ = fit_signed(torch.tensor(signal * 1e-3), times)
    large, _ = fit_signed(torch.tensor(signal * 1e4), times)
    np.testing.assert_allclose(small, large, rtol=1e-9)


def scipy_fit(signal, times):
    """T1 and residual sum of squares of one pixel by Levenberg-Marquardt from several starts."""

    def model(t, a, b, t1_star):
        with np.errstate(over="ignore"):  # T1* may pass through negative values on the way
            return a - b * np.exp(-t / t1_star)

    best = None
    for start in (400.0, 1100.0, 2000.0):
        try:
            p, _ = curve_fit(model, times, signal, (signal.max(), 2 * signal.max(), start), maxfev=4000)
        except RuntimeError:
            continue
        error = np.sum((model(times, *p) - signal) ** 2)
        if best is None or error < best[1]:
            best = (p[2] * (p[1] / p[0] - 1), error)
    return best


@pytest.mark.parametrize("times", [MOLLI_533, MOLLI_33_35_SLOW, SEVEN_UNEVEN])
def test_noisy_pixels_agree_with_scipy(times):
    rng = np.random.default_rng(3)
    t1 = rng.uniform(350, 2000, 60)
    clean = look_locker_signal(t1, times)
    noisy = clean + rng.normal(0, 137 / 35, clean.shape)
    reference = [scipy_fit(s, np.array(times, float)) for s in noisy]
    fitted, r2 = fit_signed(torch.tensor(noisy), torch.tensor(times))
    np.testing.assert_allclose(fitted.numpy(), [t for t, _ in reference], atol=1.0)
    spread = ((noisy - noisy.mean(-1, keepdims=True)) ** 2).sum(-1)
    np.testing.assert_allclose(r2.numpy(), 1 - np.array([e for _, e in reference]) / spread, atol=1e-5)


def test_image_axes_are_kept_and_pixels_are_independent():
    t1 = np.linspace(600, 1900, 12).reshape(3, 4)
    signal = torch.tensor(look_locker_signal(t1, MOLLI_533))
    signal[1, 2] = 0
    fitted, r2 = fit_signed(signal, torch.tensor(MOLLI_533))
    assert fitted.shape == r2.shape == (3, 4)
    expected = t1.copy()
    expected[1, 2] = 0
    np.testing.assert_allclose(fitted, expected, rtol=7e-4)


@TIME_SETS
def test_polarity_is_restored_on_magnitude_images(times):
    t1 = np.geomspace(250, 2400, 50)
    signal = look_locker_signal(t1, times)
    shuffled = np.random.default_rng(0).permutation(len(times))
    magnitude = torch.tensor(np.abs(signal)[:, shuffled])
    fitted, r2 = fit_magnitude(magnitude, torch.tensor(times)[shuffled])
    np.testing.assert_allclose(fitted, t1, rtol=7e-4)
    assert r2.min() > 0.9999


def test_polarity_of_noisy_myocardium_is_the_signed_fit():
    rng = np.random.default_rng(5)
    signal = look_locker_signal(np.full(200, 1200.0), MOLLI_533)
    signal = signal + rng.normal(0, 137 / 35, signal.shape)
    times = torch.tensor(MOLLI_533)
    signed, _ = fit_signed(torch.tensor(signal), times)
    restored, _ = fit_magnitude(torch.tensor(np.abs(signal)), times)
    np.testing.assert_allclose(restored, signed, rtol=1e-7)


def test_magnitude_images_fitted_as_signed_would_be_wrong():
    """The restoration is needed: without it T1 of myocardium is off by far more than its tolerance."""
    magnitude = torch.tensor(np.abs(look_locker_signal([1200.0], MOLLI_533)))
    assert abs(fit_signed(magnitude, torch.tensor(MOLLI_533))[0].item() - 1200) > 100


@pytest.mark.parametrize(
    "signal",
    [
        np.zeros(8),
        np.full(8, 50.0),
        -look_locker_signal(1200.0, MOLLI_533),  # A < 0
        100 * np.exp(-np.array(MOLLI_533) / 900.0) + 20,  # decays: B < 0
    ],
    ids=["nothing", "constant", "upside down", "decay"],
)
def test_unphysical_signal_has_no_t1(signal):
    fitted, r2 = fit_signed(torch.tensor(signal)[None], torch.tensor(MOLLI_533))
    assert fitted.item() == 0
    assert 0 <= r2.item() <= 1


def test_pure_noise_never_gives_nan_or_an_endless_t1():
    noise = torch.randn(2000, 8, generator=torch.Generator().manual_seed(1))
    for fit, signal in ((fit_signed, noise), (fit_magnitude, noise.abs())):
        t1, r2 = fit(signal, torch.tensor(MOLLI_533))
        assert torch.isfinite(t1).all() and (t1 >= 0).all() and (t1 < 5000).all()
        assert (r2 >= 0).all() and (r2 <= 1).all()
        assert r2.median() < 0.95


def test_r2_falls_with_noise():
    rng = np.random.default_rng(11)
    clean = look_locker_signal(np.full(300, 1200.0), MOLLI_533)
    medians = []
    for sd in (1, 10, 60):
        _, r2 = fit_signed(torch.tensor(clean + rng.normal(0, sd, clean.shape)), torch.tensor(MOLLI_533))
        medians.append(r2.median().item())
    assert medians[0] > 0.999 > medians[1] > 0.97 > medians[2] > 0.5


@pytest.mark.parametrize("fit", [fit_signed, fit_magnitude])
def test_fewer_than_four_inversion_times_are_refused(fit):
    with pytest.raises(ValueError, match="four inversion times"):
        fit(torch.ones(5, 3), torch.tensor([100.0, 1100.0, 2100.0]))
