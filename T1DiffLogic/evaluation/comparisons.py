"""The method of the study against every rival: tests, and what they say in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .agreement import RESAMPLES
from .scar import RULES
from .scar_tables import difference, extent
from .significance import clustered_auc, compare_auc, compare_bias, compare_r, holm, wilcoxon_p
from .study_records import SAMPLE
from .study_results import Study
from .table import NONE, Table
from .tables import segment_agreement

ALPHA = 0.05
RIVALS = {"hinet", "pgan", "cyclegan", "pix2pix", "gan_disentangled", "ddpm_raw"}
"""The paper's four baselines and two ablations."""

PREPOSITIONS = {"ahead": "of ", "behind": "", "undecided": "against "}


@dataclass(frozen=True)
class Measure:
    """One figure that is compared. `sign` +1 when more is better, −1 when less is."""

    name: str
    label: str
    sign: int
    digits: int = 2


MEASURES = (
    Measure("wall_rmse_ms", "RMSE ms, myocardium", -1, 1),
    Measure("segment_r", "R of segments", 1),
    Measure("auc", "AUC of infarcted segments", 1),
    Measure("roi_rmse_ms", "RMSE ms, crop", -1, 1),
    Measure("psnr_2400_db", "PSNR dB", 1),
    Measure("ssim_2400", "SSIM", 1, 3),
    Measure("nmse_percent", "NMSE %", -1),
    Measure("crps_ms", "CRPS ms", -1, 1),
    Measure("one_sd_crps_ms", "CRPS ms of map and SD map, rival with one SD", -1, 1),
    Measure("extent", "size of the infarct, error in % of LV", -1, 1),
    Measure("scar_bias", "size of the infarct, bias against native in % of LV", -1, 1),
    Measure("sharpness", "sharpness, distance from native", -1),
)


@dataclass(frozen=True)
class Comparison:
    """ours − theirs on one measure; p after Holm, see `compare`."""

    rival: str
    measure: Measure
    difference: float | None
    p: float | None
    p_holm: float | None
    n: int

    @property
    def verdict(self) -> str:
        """'ahead', 'behind' or 'undecided'."""
        if self.p_holm is None or self.p_holm >= ALPHA or not self.difference:
            return "undecided"
        return "ahead" if self.difference * self.measure.sign > 0 else "behind"


def patient_figures(study: Study, method: str, measure: str) -> dict[str, float]:
    """Patient -> what the Wilcoxon test compares, for every measure but R, AUC and the bias of the size."""
    if measure == "extent":
        bias = difference(extent(study, method, None, "fixed"), "percent", "reference_percent")
        return {patient: abs(value) for patient, value in bias.items()}
    if measure == "sharpness":
        variants = study.variants(method)  # a sample, not the mean of many, is what is sharp
        variant = SAMPLE if SAMPLE in variants else variants[0]
        names = ("gradient_ms_per_mm", "native_gradient_ms_per_mm")
        own, native = (study.figures(method, name, variant) for name in names)
        return {p: abs(float(np.log(v / native[p]))) for p, v in own.items() if v > 0 and native.get(p)}
    return study.figures(method, measure)


def size_errors(study: Study, method: str) -> dict[str, list[float]]:
    """Patient -> size of the infarct − that of the native map by the same rule, % of LV, for each of RULES;
    without the patients to whom a rule cannot be applied."""
    by_rule = [difference(extent(study, method, None, rule), "percent", "native_percent") for rule in RULES]
    return {p: [errors[p] for errors in by_rule] for p in by_rule[0] if all(p in e for e in by_rule)}


def compare(study: Study) -> list[Comparison]:
    """The reference method against every other trained method and every control, on every measure.

    Holm corrects over the trained rivals of a measure, and over its trivial controls apart.
    """
    ours = study.reference
    rivals = [m for m in study.methods if m != ours and study.role(m) != "ceiling"]
    trained = [m for m in rivals if "weights_sha256" in study.run["methods"][m]]
    families = trained, [m for m in rivals if m not in trained]
    found = []
    for measure in MEASURES:
        for family in families:
            rows = [_compared(study, ours, rival, measure) for rival in family]
            for rival, (value, p, n), adjusted in zip(family, rows, holm([p for _, p, _ in rows])):
                found.append(Comparison(rival, measure, value, p, adjusted, n))
    return found


def _compared(
    study: Study, ours: str, rival: str, measure: Measure
) -> tuple[float | None, float | None, int]:
    """(difference, p, patients)."""
    if measure.name in ("segment_r", "auc"):
        mine, theirs = study.same_segments((ours, study.main(ours)), (rival, study.main(rival)))
        patients = mine["patient"]
        if not len(patients):
            return None, None, 0
        values = mine["synthetic_ms"], theirs["synthetic_ms"]
        if measure.name == "auc":
            result = compare_auc(*values, mine["positive"], patients)
        else:
            result = compare_r(*values, mine["native_ms"], patients)
        return result["difference"], result["p"], len(set(patients.tolist()))
    if measure.name == "scar_bias":
        mine, theirs = (size_errors(study, m) for m in (ours, rival))
        both = [p for p in mine if p in theirs]
        if not both:
            return None, None, 0
        result = compare_bias(*(np.transpose([errors[p] for p in both]) for errors in (mine, theirs)))
        return result["difference"], result["p"], len(both)
    mine, theirs = (patient_figures(study, m, measure.name) for m in (ours, rival))
    if measure.name == "one_sd_crps_ms":
        mine = patient_figures(study, ours, "own_sd_crps_ms")
    both = [p for p in mine if p in theirs and np.isfinite(mine[p]) and np.isfinite(theirs[p])]
    if not both:
        return None, None, 0
    a, b = (np.array([figures[p] for p in both]) for figures in (mine, theirs))
    return float((a - b).mean()), wilcoxon_p(a, b), len(both)


def comparison_table(study: Study, comparisons: list[Comparison]) -> Table:
    """Rivals down, measures across: difference and Holm's p, in bold where the method is ahead."""
    ours = study.label(study.reference)
    table = Table(
        "significance", f"{ours} minus each rival",
        ["rival", *(m.label + (" ↑" if m.sign > 0 else " ↓") for m in MEASURES)],
        "Difference (p after Holm, over the trained rivals of the column and over the controls apart); "
        f"**bold**: {ours} ahead, *italic*: behind, at p < {ALPHA}. Wilcoxon signed-rank over patients; "
        f"R, AUC and the bias by {RESAMPLES} paired bootstraps of patients. Methods that sample stand with "
        "the mean of their samples, and in CRPS and infarct size with all of them, in sharpness with the "
        "first. CRPS of map and SD map: of a normal error whose SD is the method's own in each pixel "
        "times one factor, against the rival's map with one SD for all; both fitted outside the test set. "
        "Error of the infarct's size: of each patient, above 1250 ms, against the reference, in which "
        "a second scan is off, too, by what noise and person lift above 1250 ms; bias: mean over patients, "
        "against the native map by the same rule, on average over the three rules.",
    )  # fmt: skip
    for rival in dict.fromkeys(c.rival for c in comparisons):
        row: list = [study.label(rival)]
        for c in (c for c in comparisons if c.rival == rival):
            if c.difference is None:
                row.append(NONE)
                continue
            p = "p –" if c.p_holm is None else "p < 0.001" if c.p_holm < 0.001 else f"p {c.p_holm:.3f}"
            text = f"{c.difference:+.{c.measure.digits}f} ({p})"
            mark = {"ahead": "**", "behind": "*", "undecided": ""}[c.verdict]
            row.append((f"{mark}{text}{mark}", (c.difference, c.p, c.p_holm, c.n)))
        table.rows.append(row)
    return table


def in_words(study: Study, comparisons: list[Comparison]) -> list[str]:
    """Sentences: against whom the method is ahead, behind or neither, on each measure."""
    ours, sentences = study.label(study.reference), []
    for measure in MEASURES:
        mine = [c for c in comparisons if c.measure is measure and c.difference is not None]
        parts = [
            f"{verdict} {PREPOSITIONS[verdict]}"
            + ", ".join(study.label(c.rival) for c in mine if c.verdict == verdict)
            for verdict in ("ahead", "behind", "undecided")
            if any(c.verdict == verdict for c in mine)
        ]
        if parts:
            sentences.append(f"{measure.label}: {ours} is {'; '.join(parts)}.")
    return sentences


def aims(study: Study, comparisons: list[Comparison]) -> list[tuple[str, bool | None, str]]:
    """(what the project set out to reach, whether it is reached or None, the figures that say so)."""
    ours = study.reference
    by = {(c.rival, c.measure.name): c for c in comparisons}
    rows: list[tuple[str, bool | None, str]] = []
    rivals = [m for m in study.methods if study.role(m) in ("baseline", "ablation")]
    wanted = [by[m, n] for m in rivals for n in ("wall_rmse_ms", "segment_r", "auc") if (m, n) in by]
    kinds = {study.kind(m) for m in rivals}
    ahead = sum(c.verdict == "ahead" for c in wanted)
    rows.append((
        "ahead of all baselines and ablations on myocardial RMSE, R of segments and AUC (p < 0.05, Holm)",
        ahead == len(wanted) if kinds == RIVALS else None,
        f"{ahead} of {len(wanted)} comparisons with {len(kinds)} of {len(RIVALS)} kinds of rivals",
    ))  # fmt: skip
    regression = next((m for m in study.methods if study.kind(m) == "regression"), None)
    if regression is not None and regression != ours:
        c = by[regression, "wall_rmse_ms"]
        if c.difference is not None:
            rows.append((
                "not behind the regression U-Net on myocardial RMSE by more than 2 ms",
                c.difference <= 2, f"{c.difference:+.1f} ms",
            ))  # fmt: skip
        better = [by[regression, n] for n in ("crps_ms", "one_sd_crps_ms", "scar_bias", "sharpness")]
        rows.append((
            "ahead of the regression U-Net on CRPS, bias of the infarct's size and sharpness",
            None if any(c.difference is None for c in better) else all(c.verdict == "ahead" for c in better),
            ", ".join(
                f"{c.measure.label}: {'not measured' if c.difference is None else c.verdict}" for c in better
            ),
        ))  # fmt: skip
    for name, value_of, paper in (
        ("global R", _global_r, 0.82),
        ("R of segments", lambda study, m: segment_agreement(study, m).get("pearson_r"), 0.84),
        ("PSNR at a range of 4095 ms", _mean_of("psnr_4095_db"), 31.84),
        ("SSIM at a range of 4095 ms", _mean_of("ssim_4095"), 0.89),
        ("SSIM at a range of 2400 ms", _mean_of("ssim_2400"), 0.89),
    ):
        value = value_of(study, ours)
        if value is None:
            continue
        ceilings = [
            f"{study.label(m)} {found:.2f}"
            for m in study.methods
            if study.role(m) == "ceiling" and (found := value_of(study, m)) is not None
        ]
        figures = f"{value:.2f}" + (f" ({', '.join(ceilings)})" if ceilings else "")
        rows.append((f"{name} above the paper's {paper}", bool(value > paper), figures))
    return rows + _way_to_the_ceiling(study)


def _mean_of(column: str):
    """Study, method -> mean over the patients; None without any."""

    def mean(study: Study, method: str) -> float | None:
        values = list(study.figures(method, column).values())
        return float(np.mean(values)) if values else None

    return mean


def _global_r(study: Study, method: str) -> float | None:
    synthetic, native = (study.figures(method, n) for n in ("global_ms", "global_native_ms"))
    both = [p for p in synthetic if p in native]
    return (
        float(np.corrcoef(*([g[p] for p in both] for g in (synthetic, native)))[0, 1])
        if len(both) > 2
        else None
    )


def _way_to_the_ceiling(study: Study) -> list[tuple[str, bool | None, str]]:
    """How much of the way from the mean of each segment to the second scan is gone."""
    ours, start, ceiling = study.reference, "mean of each segment", "second scan"
    if not {start, ceiling} <= set(study.methods):
        return []

    def value(method: str, name: str) -> float | None:
        if name == "wall_rmse_ms":
            return float(np.mean(list(study.figures(method, name).values())))
        if name == "segment_r":
            return segment_agreement(study, method).get("pearson_r")
        s = study.segments(method)
        return clustered_auc(s["synthetic_ms"], s["positive"], s["patient"], resamples=1)["auc"]

    rows: list[tuple[str, bool | None, str]] = []
    for name, label in (("wall_rmse_ms", "myocardial RMSE"), ("segment_r", "R of segments"), ("auc", "AUC")):
        low, mine, high = (value(m, name) for m in (start, ours, ceiling))
        if None in (low, mine, high) or high == low:
            continue
        share = (mine - low) / (high - low)
        figures = f"{100 * share:.0f} % ({low:.2f}, {mine:.2f}, {high:.2f})"
        for regression in (m for m in study.methods if study.kind(m) == "regression"):
            if (theirs := value(regression, name)) is not None:
                figures += f"; {study.label(regression)} {100 * (theirs - low) / (high - low):.0f} %"
        rows.append((
            f"half of the way from the mean of each segment to a second scan: {label}", share >= 0.5, figures
        ))  # fmt: skip
    return rows
