"""Tables 1 and 2 of the paper from measured rows; agreement, doubt, and what is known beyond controls."""

from __future__ import annotations

import numpy as np

from .agreement import clustered_agreement, partial_r, within_patient_r
from .image_quality import DATA_RANGES_MS
from .study_results import Study
from .table import NONE, Table, cell, interval_cell, spread_cell

PAPER = {
    "Hi-Net": (27.76, 0.82, 1.43),
    "cGAN": (28.58, 0.82, 0.99),
    "CycleGAN": (29.23, 0.85, 0.88),
    "pix2pix": (30.21, 0.87, 0.78),
    "T1Diff": (31.84, 0.89, 0.66),
    "GAN with disentangled conditions": (29.32, 0.85, 1.22),
    "DDPM without them": (29.15, 0.84, 1.12),
}
"""PSNR (dB), SSIM and NMSE (%) as the paper prints them, on 31 people; its data range is not given."""

IMAGE_COLUMNS = (
    ("psnr_2400_db", "PSNR dB, range 2400 ms ↑", 2, True),
    ("ssim_2400", "SSIM, range 2400 ms ↑", 3, True),
    ("nmse_percent", "NMSE % ↓", 2, False),
    ("psnr_4095_db", "PSNR dB, range 4095 ms ↑", 2, True),
    ("ssim_4095", "SSIM, range 4095 ms ↑", 3, True),
    ("roi_rmse_ms", "RMSE ms, crop ↓", 1, False),
    ("roi_mae_ms", "MAE ms, crop ↓", 1, False),
    ("wall_rmse_ms", "RMSE ms, myocardium ↓", 1, False),
    ("wall_mae_ms", "MAE ms, myocardium ↓", 1, False),
)


def rows_of(study: Study, methods, all_variants: bool) -> list[tuple[str, str]]:
    """(method, variant) of every row of a table."""
    return [(m, v) for m in methods for v in (study.variants(m) if all_variants else study.variants(m)[:1])]


def image_table(study: Study, name: str, title: str, methods, bold: bool = True) -> Table:
    """Mean ± SD over patients of every image figure; `bold` marks the best."""
    low, high = DATA_RANGES_MS
    table = Table(
        name,
        title,
        ["method", *(head for _, head, _, _ in IMAGE_COLUMNS), "patients"],
        "Mean ± SD over patients, each the mean of its slices (errors in ms: over all its pixels). The data "
        f"range is {low:.0f} ms, the window of all models; the columns at {high:.0f}, of 12-bit images, are "
        "only there to stand beside the paper, which names no range. Myocardium: where the contours of the "
        "cine and of the native map agree.",
    )
    for method, variant in rows_of(study, methods, True):
        cells = [
            spread_cell(study.figures(method, column, variant), digits)
            for column, _, digits, _ in IMAGE_COLUMNS
        ]
        n = len(study.figures(method, "wall_rmse_ms", variant))
        table.rows.append([study.label(method, variant), *cells, (str(n), (n,))])
    if bold:
        for i, (_, _, _, highest) in enumerate(IMAGE_COLUMNS, start=1):
            table.bold_best(i, highest, list(range(len(table.rows))))
    return table


def paper_table() -> Table:
    """What the paper prints, to stand beside Tables 1 and 2."""
    table = Table(
        "paper", "The paper's own Tables 1 and 2 (31 people, other data)",
        ["method", "PSNR dB ↑", "SSIM ↑", "NMSE % ↓"],
        "Taken from the paper, not measured here. Its patients, its data range and its display are others: "
        "the figures cannot be compared with those above beyond their order.",
    )  # fmt: skip
    for name, (psnr, ssim, nmse) in PAPER.items():
        table.rows.append([name, cell(psnr), cell(ssim), cell(nmse)])
    return table


def global_table(study: Study) -> Table:
    """Agreement of one T1 per patient: Fig. 4, left."""
    table = Table(
        "agreement_global", "Agreement of the global myocardial T1, one value per patient",
        ["method", "R (95 % CI)", "slope", "bias ms", "limits of agreement ms", "ICC(2,1) (95 % CI)",
         "CCC (95 % CI)", "patients"],
        "Mean over the trimmed segments, each map under its own contours. Bias is synthetic − native.",
    )  # fmt: skip
    for method, variant in rows_of(study, study.methods, True):
        native = study.figures(method, "global_native_ms", variant)
        synthetic = study.figures(method, "global_ms", variant)
        both = [p for p in native if p in synthetic]
        figures = clustered_agreement([synthetic[p] for p in both], [native[p] for p in both], both)
        table.rows.append(
            [study.label(method, variant), *_agreement_cells(figures), (str(len(both)), (len(both),))]
        )
    return table


def _agreement_cells(figures: dict) -> list:
    limits = figures["loa_ms"]
    return [
        interval_cell(figures["pearson_r"], figures["pearson_r_ci"]),
        cell(figures["slope"]),
        cell(figures["bias_ms"], 1),
        NONE if limits is None else (f"{limits[0]:.0f} to {limits[1]:.0f}", tuple(limits)),
        interval_cell(figures["icc21"], figures["icc21_ci"]),
        interval_cell(figures["ccc"], figures["ccc_ci"]),
    ]


def segment_agreement(study: Study, method: str, variant: str | None = None, group: str = "test") -> dict:
    """`clustered_agreement` of the AHA segments, with 'infarcted_r' (patients with an infarct alone),
    'infarcted_r_ci' and 'within' (`within_patient_r` of those)."""
    s = study.segments(method, variant, group)
    if not len(s["patient"]):
        return {}
    sick = s["infarcted"] == 1
    figures = clustered_agreement(s["synthetic_ms"], s["native_ms"], s["patient"])
    alone = clustered_agreement(s["synthetic_ms"][sick], s["native_ms"][sick], s["patient"][sick])
    within = within_patient_r(s["synthetic_ms"][sick], s["native_ms"][sick], s["patient"][sick])
    return figures | {
        "infarcted_r": alone["pearson_r"], "infarcted_r_ci": alone["pearson_r_ci"], "within": within,
    }  # fmt: skip


def segment_table(study: Study) -> Table:
    """Agreement of the AHA segments: Fig. 4, right, and what remains inside each patient."""
    table = Table(
        "agreement_segments", "Agreement of the 16 AHA segments",
        ["method", "R (95 % CI)", "slope", "bias ms", "limits of agreement ms", "ICC(2,1) (95 % CI)",
         "CCC (95 % CI)", "R, infarcted patients", "R within each of them, mean (95 % CI)", "segments"],
        "Intervals resample patients, not segments. R within a patient is free of what differs between "
        "patients; the row of each segment's mean shows what the usual differences between segments give.",
    )  # fmt: skip
    for method, variant in rows_of(study, study.methods, True):
        figures = segment_agreement(study, method, variant)
        if figures:
            within = figures["within"]
            table.rows.append(
                [
                    study.label(method, variant),
                    *_agreement_cells(figures),
                    interval_cell(figures["infarcted_r"], figures["infarcted_r_ci"]),
                    interval_cell(within["mean"], within["ci"]),
                    (str(figures["n"]), (figures["n"],)),
                ]
            )
    return table


def beyond_table(study: Study) -> Table:
    """What the maps know of the segments that the trivial controls do not."""
    controls = [
        m
        for m in study.methods
        if study.role(m) == "control" and "weights_sha256" not in study.run["methods"][m]
    ]
    table = Table(
        "beyond", "Beyond the mean, beyond texture, beyond motion: partial R of the AHA segments",
        ["method", *(f"given {study.label(c)}" for c in controls)],
        "R of synthetic with native segments once both are freed of a straight line in the control's values "
        "(95 % CI, patients resampled). Zero: the map knows nothing that the control does not.",
    )  # fmt: skip
    for method in study.methods:
        if study.role(method) == "ceiling" or method in controls:
            continue
        cells = []
        for control in controls:
            a, c = study.same_segments((method, study.main(method)), (control, study.main(control)))
            known = len(a["patient"]) > 3
            values = a["synthetic_ms"], a["native_ms"], c["synthetic_ms"], a["patient"]
            cells.append(interval_cell(*partial_r(*values)) if known else NONE)
        table.rows.append([study.label(method, study.main(method)), *cells])
    return table


def uncertainty_table(study: Study) -> Table:
    """CRPS, coverage before and after the SD's factor, sharpness."""
    table = Table(
        "uncertainty", "Is the doubt right, and the map as sharp as a native one?",
        ["method", "CRPS ms ↓", "CRPS with one SD, ms ↓",
         "CRPS with its SD map, ms ↓", "SD ms", "within 50 %", "within 90 %",
         "factor of the SD", "then within 90 %", "segments within 90 %", "gradient / native",
         "power 3 to 10 mm / native"],
        "Pixels of the myocardium against the noisy native map. CRPS of one map is its mean absolute error; "
        "with one SD: of the map with a normal error, the same in every pixel, that any method can state; "
        "with its SD map: the same with the method's own SD of each pixel, learned or of its samples, times "
        "one factor. "
        f"That SD and the factor are fitted on {study.run['calibration_split']} patients. "
        "Gradient and power are of the heart and of the crop; native noise counts as structure, so the "
        "noise-free truth stands below 1.",
    )  # fmt: skip
    for method, variant in rows_of(study, study.methods, True):

        def mean(column, method=method, variant=variant):
            values = study.figures(method, column, variant)
            return float(np.mean(list(values.values()))) if values else None

        s = study.segments(method, variant)
        known = np.isfinite(s.get("uncertainty_ms", np.zeros(0)))
        inside = None
        if known.any():
            error = np.abs(s["synthetic_ms"] - s["native_ms"])[known]
            inside = float((error <= 1.645 * s["uncertainty_ms"][known]).mean())
        factor = study.run["methods"][method].get("calibration", {}).get(variant, {}).get("sd_factor")
        table.rows.append(
            [
                study.label(method, variant),
                spread_cell(study.figures(method, "crps_ms", variant), 1),
                cell(mean("one_sd_crps_ms"), 1),
                cell(mean("own_sd_crps_ms"), 1),
                cell(mean("sd_ms"), 0),
                cell(mean("coverage_50")),
                cell(mean("coverage_90")),
                cell(factor),
                cell(mean("calibrated_coverage_90")),
                cell(inside),
                cell(_ratio(mean("gradient_ms_per_mm"), mean("native_gradient_ms_per_mm"))),
                cell(_ratio(mean("high_band_ms2"), mean("native_high_band_ms2"))),
            ]
        )
    return table


def _ratio(a, b) -> float | None:
    return a / b if a is not None and b else None
