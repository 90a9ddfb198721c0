"""How near a map comes to the native one as an image: PSNR, SSIM, NMSE, and errors in milliseconds.

PSNR and NMSE as fastMRI defines them (Zbontar et al., arXiv:1811.08839), SSIM as Wang et al. (IEEE TIP
2004;13:600) with a flat 7 × 7 window, the choice of fastMRI and scikit-image. A PSNR or SSIM means
nothing without its data range: here it is always given. The range of every image is fixed, never its own
maximum: 2400 ms is the T1 window of the models; 4095, the range of 12-bit images, is what a paper that
names none may have used, and only there for comparison.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter

DATA_RANGES_MS = (2400.0, 4095.0)
WINDOW = 7
K1, K2 = 0.01, 0.03


def psnr_db(image: np.ndarray, reference: np.ndarray, data_range: float) -> float:
    """10 log10(L² / mean squared error); infinite for equal images."""
    error = np.square(np.asarray(image, np.float64) - reference).mean()
    return float(10 * np.log10(data_range**2 / error)) if error > 0 else float("inf")


def nmse_percent(image: np.ndarray, reference: np.ndarray) -> float:
    """100 · ‖image − reference‖² / ‖reference‖²; the paper's NMSE of 0.66 to 1.43 is this percent."""
    reference = np.asarray(reference, np.float64)
    return float(100 * np.square(image - reference).sum() / np.square(reference).sum())


def ssim(image: np.ndarray, reference: np.ndarray, data_range: float) -> float:
    """Mean structural similarity of two (H, W) images over the pixels whose whole window is inside.

    Variances with n − 1, K1 = 0.01, K2 = 0.03: the defaults of scikit-image.
    """
    x, y = np.asarray(image, np.float64), np.asarray(reference, np.float64)
    n = WINDOW**2
    mean_x, mean_y = uniform_filter(x, WINDOW), uniform_filter(y, WINDOW)
    unbiased = n / (n - 1)
    var_x = unbiased * (uniform_filter(x * x, WINDOW) - mean_x**2)
    var_y = unbiased * (uniform_filter(y * y, WINDOW) - mean_y**2)
    cov = unbiased * (uniform_filter(x * y, WINDOW) - mean_x * mean_y)
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    similarity = ((2 * mean_x * mean_y + c1) * (2 * cov + c2)) / (
        (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    )
    rim = WINDOW // 2
    return float(similarity[rim:-rim, rim:-rim].mean())


def image_figures(image: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """psnr_<range>_db, ssim_<range> for each data range and nmse_percent of two (H, W) maps in ms."""
    figures = {}
    for data_range in DATA_RANGES_MS:
        figures[f"psnr_{data_range:.0f}_db"] = psnr_db(image, reference, data_range)
        figures[f"ssim_{data_range:.0f}"] = ssim(image, reference, data_range)
    figures["nmse_percent"] = nmse_percent(image, reference)
    return figures


def errors_ms(values: np.ndarray, reference: np.ndarray) -> dict[str, float | None]:
    """rmse, mae and bias (values − reference) in ms of two (n,) arrays; None without pixels."""
    if not reference.size:
        return {"rmse": None, "mae": None, "bias": None}
    difference = np.asarray(values, np.float64) - reference
    return {
        "rmse": float(np.sqrt(np.square(difference).mean())),
        "mae": float(np.abs(difference).mean()),
        "bias": float(difference.mean()),
    }
