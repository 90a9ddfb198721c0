"""Numbers of one study: T1 per AHA segment and overall, scar extent, agreement with a native map.

Every function returns plain Python numbers with None (never NaN) for what cannot be known, so
that the result can be written as JSON as it is.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

import numpy as np

from .anatomy.aha import NAMES
from .anatomy.function import ventricular_function, wall_thickening
from .errors import StudyError
from .study import LV_MYOCARDIUM, Synthesis

__all__ = [
    "SEGMENT_COLUMNS",
    "ScarRule",
    "SegmentRow",
    "agreement",
    "agreement_of",
    "global_t1",
    "midseptal_t1",
    "paired_segments",
    "scar_rule",
    "segment_table",
    "thickening_of",
    "ventricular_function",
    "wall_thickening",
]

FIXED_THRESHOLD_MS = 1250.0
"""Native T1 at 3 T above which a pixel is abnormal in acute infarction (PMID 26507864: 1241 ms)."""

NORMAL_THICKENING_PERCENT = 30.0
"""Systolic thickening from which a segment may be remote; infarcted wall keeps about half of 70 %."""

REMOTE_SHARE = 3
"""Remote myocardium is the third of the segments with the lowest mean T1."""

SEPTAL_MID = (8, 9)
"""The mid-ventricular septum, the consensus site of a single T1 value (Messroghli et al., JCMR 2017)."""


@dataclass(frozen=True)
class SegmentRow:
    """One AHA segment. Values are ms; sd_ms is spatial, uncertainty_ms over the samples' means.

    thickening_percent is systolic, of the wall at ED, and there whether or not T1 was judged.
    """

    id: int
    name: str
    mean_ms: float | None
    sd_ms: float | None
    median_ms: float | None
    n: int
    uncertainty_ms: float | None
    scar_fraction: float | None
    thickening_percent: float | None = None

    def as_dict(self) -> dict:
        return asdict(self)


SEGMENT_COLUMNS = tuple(field.name for field in fields(SegmentRow))
"""What every table of the segments shows, in this order."""


@dataclass(frozen=True, eq=False)
class ScarRule:
    """When a pixel counts as scar: T1 above the threshold of its own sample.

    name           'fixed', 'given' or 'remote + 2 SD'
    threshold_ms   (K,) ms, one per sample
    remote         AHA segments taken as remote, empty for fixed thresholds
    note           a sentence when the rule had to be relaxed, else ''
    """

    name: str
    threshold_ms: np.ndarray
    remote: tuple[int, ...] = ()
    note: str = ""


def _segments(synthesis: Synthesis, where: np.ndarray | None = None) -> list[np.ndarray]:
    """16 (S, R, C) masks of the judged pixels of each segment, within `where`."""
    judged = synthesis.valid.astype(bool) if where is None else synthesis.valid.astype(bool) & where
    return [judged & (synthesis.aha == number) for number in range(1, 17)]


def thickening_of(synthesis: Synthesis) -> np.ndarray:
    """(16,) systolic wall thickening in percent per AHA segment, NaN where it cannot be measured."""
    masks, levels = synthesis.segmentation, [s.level for s in synthesis.slices]
    return wall_thickening(
        masks.labels_ed, masks.labels_es, masks.rv_insertions, levels, synthesis.cine.geometries
    )


def scar_rule(synthesis: Synthesis, rule: str | float = "fixed", thickening=None) -> ScarRule:
    """The rule by name ('fixed': 1250 ms, 'remote': remote mean + 2 SD) or a threshold in ms.

    thickening  (16,) percent per segment, NaN unknown; None is `thickening_of` the study, for 'remote'

    Remote is the third of the segments with the lowest mean T1 among those that thicken by at
    least 30 %; when fewer than a third do, among the better-thickening half, which the note says.
    Its mean and SD are taken per sample, because averaging samples shrinks the SD.
    Raises StudyError for a rule that is neither, or 'remote' on a study without measured wall motion.
    """
    samples = synthesis.samples_ms
    if rule == "fixed":
        return ScarRule("fixed", np.full(len(samples), FIXED_THRESHOLD_MS))
    if rule != "remote":
        try:
            threshold = float(rule)
        except (TypeError, ValueError):
            raise StudyError(f"scar rule {rule!r} is not 'fixed', 'remote' or a threshold in ms.") from None
        if not 300 <= threshold <= 3000:
            raise StudyError(f"a scar threshold of {threshold:g} ms is not plausible (300 to 3000 ms).")
        return ScarRule("given", np.full(len(samples), threshold))
    masks = _segments(synthesis)
    thickening = np.asarray(thickening_of(synthesis) if thickening is None else thickening, dtype=np.float64)
    known = [i for i in range(16) if masks[i].any() and np.isfinite(thickening[i])]
    if not known:
        raise StudyError("the remote scar rule needs wall thickening of AHA segments; use a fixed threshold.")
    wanted = max(1, len(known) // REMOTE_SHARE)
    normal = [i for i in known if thickening[i] >= NORMAL_THICKENING_PERCENT]
    note = ""
    if len(normal) < wanted:
        half = -(-len(known) // 2)
        normal = sorted(known, key=lambda i: -thickening[i])[:half]
        note = f"too few segments thicken by {NORMAL_THICKENING_PERCENT:.0f} %: remote is from the best half."
    remote = sorted(sorted(normal, key=lambda i: synthesis.t1_ms[masks[i]].mean())[:wanted])
    pixels = samples[:, np.any([masks[i] for i in remote], axis=0)].astype(np.float64)
    return ScarRule(
        "remote + 2 SD", pixels.mean(axis=1) + 2 * pixels.std(axis=1), tuple(i + 1 for i in remote), note
    )


def segment_table(synthesis: Synthesis, rule: ScarRule | None = None) -> list[SegmentRow]:
    """16 rows, AHA segments in order; a segment without judged pixels has n = 0 and None.

    uncertainty_ms is the SD (ddof 1) over the K samples of the segment mean, None for K = 1.
    scar_fraction is the mean over samples of the share of pixels above the rule: counted in each
    sample, because the mean map is smoother than any real map. The default rule is 'fixed'.
    """
    rule = scar_rule(synthesis) if rule is None else rule
    rows = []
    thickening = [float(v) if np.isfinite(v) else None for v in thickening_of(synthesis)]
    for number, mask in enumerate(_segments(synthesis), start=1):
        name, thickens = NAMES[number - 1], thickening[number - 1]
        if not mask.any():
            rows.append(SegmentRow(number, name, None, None, None, 0, None, None, thickens))
            continue
        values = synthesis.t1_ms[mask].astype(np.float64)
        samples = synthesis.samples_ms[:, mask].astype(np.float64)
        rows.append(
            SegmentRow(
                number,
                name,
                float(values.mean()),
                float(values.std()),
                float(np.median(values)),
                int(values.size),
                float(samples.mean(axis=1).std(ddof=1)) if len(samples) > 1 else None,
                float((samples > rule.threshold_ms[:, None]).mean()),
                thickens,
            )
        )
    return rows


def _summary(synthesis: Synthesis, mask: np.ndarray) -> dict:
    values = synthesis.t1_ms[mask].astype(np.float64)
    if values.size == 0:
        return {"mean_ms": None, "sd_ms": None, "n": 0, "uncertainty_ms": None}
    means = synthesis.samples_ms[:, mask].astype(np.float64).mean(axis=1)
    return {
        "mean_ms": float(values.mean()),
        "sd_ms": float(values.std()),
        "n": int(values.size),
        "uncertainty_ms": float(means.std(ddof=1)) if means.size > 1 else None,
    }


def global_t1(synthesis: Synthesis) -> dict:
    """mean_ms, sd_ms (spatial), n, uncertainty_ms over the trimmed myocardium of all segments."""
    return _summary(synthesis, synthesis.valid.astype(bool) & (synthesis.aha > 0))


def midseptal_t1(synthesis: Synthesis) -> dict:
    """The same over the mid septum (segments 8 and 9), the consensus ROI for diffuse disease."""
    return _summary(synthesis, synthesis.valid.astype(bool) & np.isin(synthesis.aha, SEPTAL_MID))


def agreement_of(synthetic, native) -> dict:
    """Agreement of paired values (n,) in ms, synthetic against native; None where undefined.

    pearson_r, slope, intercept (least squares, synthetic on native); bias_ms (synthetic - native)
    and loa_ms, bias ± 1.96 SD of the differences, ddof 1 (Bland and Altman, Lancet 1986;1:307);
    rmse_ms, mae_ms; icc21, two-way random effects, absolute agreement, single measure (Shrout and
    Fleiss, Psychol Bull 1979;86:420); ccc, with 1/n moments (Lin, Biometrics 1989;45:255).
    """
    x, y = np.asarray(native, dtype=np.float64), np.asarray(synthetic, dtype=np.float64)
    n = x.size
    keys = "pearson_r slope intercept bias_ms loa_ms rmse_ms mae_ms icc21 ccc".split()
    result: dict = dict.fromkeys(keys)
    if n == 0:
        return result
    difference = y - x
    bias = difference.mean()
    result.update(bias_ms=bias, rmse_ms=np.sqrt((difference**2).mean()), mae_ms=np.abs(difference).mean())
    if n >= 2:
        half = 1.96 * difference.std(ddof=1)
        result["loa_ms"] = [bias - half, bias + half]
        rows = 2 * ((x + y) / 2).var(ddof=1)
        columns = n * bias**2 / 2
        residual = difference.var(ddof=1) / 2
        result["icc21"] = _ratio(rows - residual, rows + residual + 2 * (columns - residual) / n)
        cov = ((x - x.mean()) * (y - y.mean())).mean()
        result["ccc"] = _ratio(2 * cov, x.var() + y.var() + bias**2)
        result["slope"] = _ratio(cov, x.var())
        if result["slope"] is not None:
            result["intercept"] = y.mean() - result["slope"] * x.mean()
        if n >= 3:  # two points always correlate perfectly
            result["pearson_r"] = _ratio(cov, x.std() * y.std())
    return {k: _plain(v) for k, v in result.items()}


def _ratio(a, b) -> float | None:
    """a / b, None where b vanishes beside ms² rounding."""
    return float(a / b) if b > 1e-9 else None


def _plain(value):
    if isinstance(value, list):
        return [float(v) for v in value]
    return None if value is None else float(value)


def paired_segments(synthesis: Synthesis) -> list[tuple[np.ndarray, np.ndarray]]:
    """16 pairs of (S, R, C) masks: a segment's pixels in the synthetic and in the native map.

    Each under its own contours, on pixels where both maps have a value and slices where both have
    the segment; both empty where none does.
    """
    there = synthesis.native_ms > 0
    pairs = []
    for number, mask in enumerate(_segments(synthesis, there), start=1):
        own = (synthesis.native_aha == number) & there & synthesis.valid.astype(bool)
        shared = (mask.any(axis=(1, 2)) & own.any(axis=(1, 2)))[:, None, None]
        pairs.append((mask & shared, own & shared))
    return pairs


def agreement(synthesis: Synthesis) -> dict | None:
    """Agreement with the native map of the same study, None without one.

    Each map is read under its own contours, trimmed alike, on the slices where both have the
    segment. The figures of agreement_of are between the means of this study's segments (n_segments
    of them), except rmse_ms and mae_ms, which are over the pixels of the ED myocardium (n_pixels);
    segment_rmse_ms and segment_mae_ms are those of the segment means. 'segments' lists the native
    map's own mean, SD, median and n per segment, 'global' the two means over those pixels of all
    segments and their difference (n of the native map).
    """
    if synthesis.native_ms is None:
        return None
    native = synthesis.native_ms.astype(np.float64)
    synthetic = synthesis.t1_ms.astype(np.float64)
    rows, pairs, all_synthetic, all_native = [], [], [], []
    for number, (mask, own) in enumerate(paired_segments(synthesis), start=1):
        row = {"id": number, "name": NAMES[number - 1], "n": int(own.sum())}
        row |= dict.fromkeys(("native_mean_ms", "native_sd_ms", "native_median_ms", "synthetic_mean_ms"))
        if row["n"]:
            values = native[own]
            all_native.append(values)
            all_synthetic.append(synthetic[mask])
            pairs.append((synthetic[mask].mean(), values.mean()))
            row |= {
                "native_mean_ms": float(values.mean()),
                "native_sd_ms": float(values.std()),
                "native_median_ms": float(np.median(values)),
                "synthetic_mean_ms": float(pairs[-1][0]),
            }
        rows.append(row)
    result = agreement_of(*np.array(pairs, dtype=np.float64).reshape(-1, 2).T)
    result |= {"segment_rmse_ms": result["rmse_ms"], "segment_mae_ms": result["mae_ms"]}
    both = synthesis.valid.astype(bool) & (native > 0)
    wall = both & (synthesis.segmentation.labels_ed == LV_MYOCARDIUM)
    pixelwise = agreement_of(synthetic[wall], native[wall])
    mean = {"synthetic_ms": None, "native_ms": None, "difference_ms": None, "n": 0}
    if pairs:
        read = np.concatenate(all_native)
        s, n = float(np.concatenate(all_synthetic).mean()), float(read.mean())
        mean.update(synthetic_ms=s, native_ms=n, difference_ms=s - n, n=int(read.size))
    return result | {
        "rmse_ms": pixelwise["rmse_ms"],
        "mae_ms": pixelwise["mae_ms"],
        "n_segments": len(pairs),
        "n_pixels": int(wall.sum()),
        "global": mean,
        "segments": rows,
    }
