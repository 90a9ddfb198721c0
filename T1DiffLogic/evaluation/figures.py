"""The study's curves and scatter plots, each with what it was measured on written below it."""

from __future__ import annotations

import textwrap
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from scipy.stats import norm

from .agreement import clustered_agreement
from .convergence import convergence
from .significance import clustered_auc
from .study_results import TEST, Study, mean_sd
from .tables import segment_agreement
from .uncertainty import LEVELS, SD_EDGES_MS

DPI = 120
COLOURS = {
    "baseline": "#c46b1f",
    "ablation": "#8a5fb0",
    "t1diff": "#0b6e8f",
    "control": "#7a7a7a",
    "ceiling": "#2f7d32",
}
"""One colour per part in the study; the method of the study is drawn bolder."""


OTHERS = ("#c46b1f", "#8a5fb0", "#2f7d32", "#b5303f", "#8c6d46", "#d678b4", "#5c5c5c", "#a8a51e", "#3f6fd1")
"""Colours of single methods beside the one of the study, told apart from it."""


def provenance(study: Study, group: str = TEST) -> str:
    """n, split, origin, seed, commit and command of everything that is shown, in one sentence."""
    run, g = study.run, study.run["groups"][group]
    return (
        f"{g['patients']} {run['split']} patients, {g['slices']} slices; data: {g['origin']}; "
        f"{run['samples']} samples, "
        f"seed {run['seed']}; commit {run['commit']}; {run['command']}"
    )


def save(figure, study: Study, folder: Path, name: str, vector: bool = True) -> list[str]:
    """Writes <name>.png, and <name>.svg of what is lines, with the provenance as a foot line."""
    width = figure.get_size_inches()[0]
    foot = textwrap.fill(provenance(study), int(width * 17))
    lines = foot.count("\n") + 1
    figure.text(0.008, -0.01, foot, fontsize=6, color="0.35", va="top", ha="left", linespacing=1.2)
    files = [f"{name}.png"] + ([f"{name}.svg"] if vector else [])
    with matplotlib.rc_context({"svg.hashsalt": "t1diff", "svg.fonttype": "none"}):
        for file in files:
            meta = {"Software": None} if file.endswith("png") else {"Date": None, "Creator": None}
            figure.savefig(
                folder / file, dpi=DPI, bbox_inches="tight", metadata=meta, pad_inches=0.08 + 0.01 * lines
            )
    plt.close(figure)
    return files


def agreement_figure(study: Study, folder: Path) -> list[str]:
    """Fig. 4: correlation above, Bland–Altman below; global left, AHA segments right."""
    ours = study.reference
    native, synthetic = (study.figures(ours, n) for n in ("global_native_ms", "global_ms"))
    both = [p for p in native if p in synthetic]
    s = study.segments(ours)
    panels = (
        (
            "global T1 of a patient",
            np.array([synthetic[p] for p in both]),
            np.array([native[p] for p in both]),
            np.array(both),
        ),
        ("T1 of the 16 AHA segments", s["synthetic_ms"], s["native_ms"], s["patient"]),
    )
    figure, axes = plt.subplots(2, 2, figsize=(9.6, 8.6), constrained_layout=True)
    for column, (title, y, x, patients) in enumerate(panels):
        figures = clustered_agreement(y, x, patients)
        large = column == 0
        style = {
            "s": 26 if large else 12,
            "alpha": 0.8 if large else 0.5,
            "color": COLOURS["t1diff"],
            "linewidths": 0,
        }
        top, below = axes[0, column], axes[1, column]
        low, high = min(x.min(), y.min()) - 20, max(x.max(), y.max()) + 20
        top.scatter(x, y, **style)
        top.plot([low, high], [low, high], color="0.6", lw=1, ls="--", label="identity")
        if figures["slope"] is not None:
            line = np.array([x.min(), x.max()])
            sign = "−" if figures["intercept"] < 0 else "+"
            label = f"y = {figures['slope']:.2f} x {sign} {abs(figures['intercept']):.0f}"
            top.plot(line, figures["intercept"] + figures["slope"] * line, color="black", lw=1.4, label=label)
        top.set(xlim=(low, high), ylim=(low, high), aspect="equal", title=title,
                xlabel="native T1 (ms)", ylabel="synthetic T1 (ms)")  # fmt: skip
        top.text(0.03, 0.97, _r_text(figures), transform=top.transAxes, va="top", fontsize=9)
        top.legend(loc="lower right", fontsize=8, frameon=False)
        middle, apart = (x + y) / 2, y - x
        below.scatter(middle, apart, **style)
        below.axhline(figures["bias_ms"], color="black", lw=1.4)
        below.axhline(0, color="0.75", lw=0.8)
        lines = [(figures["bias_ms"], "bias")]
        if figures["loa_ms"] is not None:
            lines += [(figures["loa_ms"][1], "+ 1.96 SD"), (figures["loa_ms"][0], "− 1.96 SD")]
        for value, name in lines:
            below.axhline(
                value, color="black", lw=1.4 if name == "bias" else 1, ls="-" if name == "bias" else "--"
            )
            text = f"{name} {value:+.0f}".replace("-", "−")
            below.annotate(text, (1.0, value), xycoords=("axes fraction", "data"),
                           ha="right", va="bottom", fontsize=8)  # fmt: skip
        below.set(xlabel="mean of native and synthetic T1 (ms)", ylabel="synthetic − native (ms)")
        below.margins(y=0.18)
    figure.suptitle(f"{study.label(ours, study.main(ours))} and native T1", fontsize=12)
    return save(figure, study, folder, "fig4_agreement")


def _r_text(figures: dict) -> str:
    if figures["pearson_r"] is None:
        return f"n = {figures['n']}: too few for R"
    lines = [f"R = {figures['pearson_r']:.2f}"]
    if figures["pearson_r_ci"]:
        lines[0] += f" (95 % CI {figures['pearson_r_ci'][0]:.2f} to {figures['pearson_r_ci'][1]:.2f})"
    p = figures["pearson_p"]
    if p is not None:
        lines[0] += ", P < 0.001" if p < 0.001 else f", P = {p:.3f}"
    if figures["icc21"] is not None:
        lines.append(f"ICC(2,1) {figures['icc21']:.2f}, CCC {figures['ccc']:.2f}")
    n, patients = figures["n"], figures["n_patients"]
    lines.append(f"n = {n}" if n == patients else f"n = {n} segments of {patients} patients")
    return "\n".join(lines)


def calibration_figure(study: Study, folder: Path) -> list[str]:
    """Left: true error against the stated SD. Right: coverage of the intervals, as they are and with the
    SD's factor. Nothing when no method draws samples."""
    drawn = [
        m for m in study.methods if study.rows("reliability", m, study.main(m)) and study.role(m) != "ceiling"
    ]
    drawn = [m for m in drawn if study.kind(m) != "shuffled cine"]
    if not drawn:
        return []
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.6), constrained_layout=True)
    top = 50.0
    for number, method in enumerate(drawn):
        colour = COLOURS["t1diff"] if method == study.reference else OTHERS[number % len(OTHERS)]
        sums = np.zeros((len(SD_EDGES_MS) - 1, 3))
        for row in study.rows("reliability", method, study.main(method)):
            place = SD_EDGES_MS.index(float(row["sd_from_ms"]))
            sums[place] += [float(row["n"]), float(row["sum_sd2"]), float(row["sum_error2"])]
        sums = sums[sums[:, 0] >= 50]  # fewer pixels say little
        stated, error = np.sqrt(sums[:, 1] / sums[:, 0]), np.sqrt(sums[:, 2] / sums[:, 0])
        top = max(top, *stated, *error)
        left.plot(stated, error, "o-", color=colour, label=study.label(method))
        nominal = [100 * level for level in LEVELS]
        for prefix, style in (("", "o-"), ("calibrated_", "s--")):
            shares = [
                mean_sd(study.figures(method, f"{prefix}coverage_{level:.0f}").values()) for level in nominal
            ]
            if all(s is not None for s in shares):
                right.plot(nominal, [100 * s[0] for s in shares], style, color=colour)
    left.plot([0, top * 1.05], [0, top * 1.05], color="0.6", ls="--", lw=1, label="error = SD")
    left.set(xlim=(0, top * 1.05), ylim=(0, top * 1.05), aspect="equal",
             xlabel="stated SD of the map (ms), RMS of the bin", ylabel="true error (ms), RMS of the bin",
             title="Pixels of the myocardium, by stated SD")  # fmt: skip
    right.plot([], [], "o-", color="0.3", label="SD as it is")  # colours as on the left
    right.plot([], [], "s--", color="0.3", label="SD times its factor")
    right.plot([45, 100], [45, 100], color="0.6", ls="--", lw=1, label="as stated")
    right.set(xlabel="stated interval (%)", ylabel="of native values inside (%)", xlim=(45, 100),
              ylim=(0, 102), title="Intervals mean ± z · SD")  # fmt: skip
    for axis in (left, right):
        axis.legend(fontsize=8, frameon=False)
        axis.grid(alpha=0.25)
    return save(figure, study, folder, "calibration")


def standing_figure(study: Study, folder: Path) -> list[str]:
    """Every method, control and ceiling on three scales, with 95 % intervals over patients."""
    methods = study.methods[::-1]
    height = 1.5 + 0.3 * len(methods)
    figure, axes = plt.subplots(1, 3, figsize=(12, height), sharey=True, constrained_layout=True)
    for place, method in enumerate(methods):
        colour, ours = COLOURS[study.role(method)], method == study.reference
        errors = np.array(list(study.figures(method, "wall_rmse_ms").values()))
        s, agreement = study.segments(method), segment_agreement(study, method)
        found = clustered_auc(s["synthetic_ms"], s["positive"], s["patient"]) if agreement else {}
        half = norm.ppf(0.975) * errors.std(ddof=1) / np.sqrt(len(errors)) if len(errors) > 1 else 0
        points = (
            (errors.mean(), [errors.mean() - half, errors.mean() + half]) if len(errors) else (None, None),
            (agreement.get("pearson_r"), agreement.get("pearson_r_ci")),
            (found.get("auc"), found.get("auc_ci")),
        )
        for axis, (value, limits) in zip(axes, points):
            if value is None:
                continue
            if limits is not None:
                axis.plot(limits, [place, place], color=colour, lw=2.5 if ours else 1.3)
            axis.plot(value, place, "D" if ours else "o", color=colour, ms=8 if ours else 5.5)
    axes[0].set_yticks(range(len(methods)), [study.label(m) for m in methods], fontsize=9)
    for label, method in zip(axes[0].get_yticklabels(), methods):
        label.set_color(COLOURS[study.role(method)])
        label.set_fontweight("bold" if method == study.reference else "normal")
    titles = ("RMSE in the myocardium (ms)", "R of AHA segments", "AUC of infarcted segments")
    for axis, title in zip(axes, titles):
        axis.set_xlabel(title)
        axis.grid(axis="x", alpha=0.3)
    axes[0].set_xlim(left=0)
    axes[2].axvline(0.5, color="0.6", ls="--", lw=1)
    axes[1].axvline(0, color="0.6", ls="--", lw=1)
    handles = [plt.Line2D([], [], color=c, marker="o", ls="", label=name) for name, c in COLOURS.items()]
    figure.legend(handles=handles, ncols=len(handles), loc="outside upper center", fontsize=8, frameon=False)
    return save(figure, study, folder, "standing")


def convergence_figure(study: Study, folder: Path) -> list[str]:
    """Validation error over updates and over minutes, from the methods' training logs; nothing without."""
    curves = {m: c for m in study.methods if (c := convergence(study, m)) is not None and len(c["rmse_ms"])}
    if not curves:
        return []
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), sharey=True, constrained_layout=True)
    for axis, name, title in zip(
        axes, ("updates", "minutes"), ("updates of the weights", "minutes of training")
    ):
        for number, (method, curve) in enumerate(curves.items()):
            ours = method == study.reference
            colour = COLOURS["t1diff"] if ours else OTHERS[number % len(OTHERS)]
            axis.plot(curve[name], curve["rmse_ms"], lw=2.4 if ours else 1.3, label=study.label(method),
                      color=colour, marker=".", ms=4)  # fmt: skip
        axis.set_xlabel(title)
        axis.grid(alpha=0.3)
    # from the thousand of a generator that knows nothing to differences of a few ms
    axes[0].set_yscale("log")
    axes[0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7)))
    axes[0].yaxis.set_major_formatter(StrMethodFormatter("{x:.0f}"))
    axes[0].yaxis.set_minor_formatter(NullFormatter())
    axes[0].set_ylabel("RMSE in the inner wall, validation (ms)")
    axes[0].legend(fontsize=8, frameon=False)
    return save(figure, study, folder, "convergence")
