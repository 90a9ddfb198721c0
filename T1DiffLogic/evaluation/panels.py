"""Pictures of maps: the paper's Figures 2, 3 and 5, and what exchanging the conditions does."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.patches import Rectangle

from ..report.colours import SD_WINDOW_MS, T1_WINDOW_MS, colour_sd, colour_t1, lipari_table, sd_table
from ..study import LV_CAVITY, LV_MYOCARDIUM
from .figures import save
from .pictures import GROUND, read_pictures
from .study_records import file_name
from .study_results import Study

GREY_MS = (300.0, 2000.0)
MARGIN = 10
SCAR_BOX, HEALTHY_BOX = "#37e05a", "white"


def _maps(study: Study, method: str) -> dict[str, np.ndarray]:
    return read_pictures(study.folder / "pictures" / f"{file_name(method)}.npz")


def _shown(study: Study) -> list[str]:
    """Methods whose pictures stand beside the native map: T1Diff first, then its rivals."""
    order = {"t1diff": 0, "baseline": 1, "ablation": 2, "control": 3}
    kinds = {"t1diff", "paper", "regression"} | {
        study.kind(m) for m in study.methods if study.role(m) in ("baseline", "ablation")
    }
    able = [m for m in study.methods if study.kind(m) in kinds and _maps(study, m)]
    return sorted(able, key=lambda m: (m != study.reference, order[study.role(m)]))


def _box(mask: np.ndarray, margin: int) -> tuple[int, int, int, int] | None:
    """First and last row and column of a mask, widened by `margin`, inside the image."""
    rows, columns = np.nonzero(mask)
    if not rows.size:
        return None
    last = np.array(mask.shape) - 1
    low = np.maximum([rows.min() - margin, columns.min() - margin], 0)
    high = np.minimum([rows.max() + margin, columns.max() + margin], last)
    return int(low[0]), int(high[0]), int(low[1]), int(high[1])


def _square(box: tuple[int, int, int, int], size: int) -> tuple[int, int, int, int]:
    """The box widened to a square inside an image of `size` pixels."""
    side = min(max(box[1] - box[0], box[3] - box[2]), size - 1)
    found = []
    for low, high in (box[:2], box[2:]):
        start = int(np.clip((low + high - side) // 2, 0, size - 1 - side))
        found += [start, start + side]
    return tuple(found)


def _draw(axis, image, box=None) -> None:
    """Pixels as they are, cut to `box`."""
    axis.imshow(image, interpolation="nearest", **({} if image.ndim == 3 else {"cmap": "gray"}))
    axis.set(xticks=[], yticks=[])
    for spine in axis.spines.values():
        spine.set_visible(False)
    if box is not None:
        axis.set(xlim=(box[2] - 0.5, box[3] + 0.5), ylim=(box[1] + 0.5, box[0] - 0.5))


def _rectangle(axis, box, colour: str) -> None:
    axis.add_patch(
        Rectangle(
            (box[2] - 0.5, box[0] - 0.5),
            box[3] - box[2] + 1,
            box[1] - box[0] + 1,
            fill=False,
            edgecolor=colour,
            lw=1.4,
        )  # fmt: skip
    )


def _colour_bar(figure, axes, table, window, label: str) -> None:
    mapped = ScalarMappable(Normalize(*window), ListedColormap(table[1:]))
    figure.colorbar(mapped, ax=axes, label=label, shrink=0.75, pad=0.01, aspect=30)


def _lipari(values: np.ndarray) -> np.ndarray:
    values = values.astype(np.float64)
    return colour_t1(values, values > 0)[..., :3]


def _named(ground: dict, i: int) -> str:
    kind = "infarct" if ground["scar"][i].any() else "no infarct"
    return f"{ground['level'][i]}, {kind}"


def image_figure(study: Study, folder: Path) -> list[str]:
    """Fig. 2: cine at ED, native map and every method in grey, the whole crop; one patient with an infarct,
    one without."""
    return _comparison(study, folder, "fig2_images", heat=False)


def heat_figure(study: Study, folder: Path) -> list[str]:
    """Fig. 3: the same as heat maps of the heart; green boxes round the native map's infarct."""
    return _comparison(study, folder, "fig3_heatmaps", heat=True)


def _comparison(study: Study, folder: Path, name: str, heat: bool) -> list[str]:
    ground, methods = read_pictures(study.folder / "pictures" / f"{GROUND}.npz"), _shown(study)
    if not ground or not methods:
        return []
    scarred = [i for i, scar in enumerate(ground["scar"]) if scar.any()]
    healthy = [i for i, scar in enumerate(ground["scar"]) if not scar.any()]
    rows = (scarred[:1] + healthy[:1]) or [0]
    width = 1.75 * (len(methods) + 2) + 0.8
    figure, axes = plt.subplots(
        len(rows),
        len(methods) + 2,
        figsize=(width, 1.75 * len(rows) + 0.6),
        squeeze=False,
        layout="constrained",
    )
    for line, i in zip(axes, rows):
        heart = np.isin(ground["labels"][i], (LV_MYOCARDIUM, LV_CAVITY))
        crop = (
            _square(_box(heart, MARGIN) or (0, heart.shape[0] - 1, 0, heart.shape[1] - 1), len(heart))
            if heat
            else None
        )
        scar = _box(ground["scar"][i], 2)
        _draw(line[0], np.minimum(ground["cine"][i].astype(np.float64), 1500), crop)
        line[0].set_ylabel(_named(ground, i), fontsize=9)
        for axis, values in zip(
            line[1:], [ground["native"][i], *(_maps(study, m)["map"][i] for m in methods)]
        ):
            image = _lipari(values) if heat else np.clip(values.astype(np.float64), *GREY_MS)
            _draw(axis, image, crop)
            if scar is not None and heat:
                _rectangle(axis, scar, SCAR_BOX)
    titles = ["cine, ED", "native T1", *(study.label(m, study.main(m)) for m in methods)]
    for axis, title in zip(axes[0], titles):
        axis.set_title(_wrapped(title), fontsize=8)
    if heat:
        _colour_bar(figure, axes, lipari_table(), T1_WINDOW_MS, "T1 (ms)")
    else:
        grey = ListedColormap(plt.get_cmap("gray")(np.linspace(0, 1, 256))[:, :3])
        figure.colorbar(
            ScalarMappable(Normalize(*GREY_MS), grey),
            ax=axes,
            label="T1 (ms)",
            shrink=0.75,
            pad=0.01,
            aspect=30,
        )
    return save(figure, study, folder, name, vector=False)


def _wrapped(title: str) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(title, 18))


def patients_figure(study: Study, folder: Path) -> list[str]:
    """Fig. 5: patients with an infarct; cine, native map, the method's map, one sample and the SD."""
    ground, maps = read_pictures(study.folder / "pictures" / f"{GROUND}.npz"), _maps(study, study.reference)
    if not ground or not maps:
        return []
    rows = [i for i, scar in enumerate(ground["scar"]) if scar.any()] or list(range(len(ground["scar"])))
    name = study.label(study.reference, study.main(study.reference))
    columns = [("cine, ED", None), ("native T1", ground["native"]), (name, maps["map"])]
    if "sample" in maps:
        columns += [("1 sample", maps["sample"]), ("SD", maps["sd"])]
    figure, axes = plt.subplots(
        len(rows), len(columns), figsize=(1.95 * len(columns) + 1.6, 1.95 * len(rows) + 0.4), squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for line, i in zip(axes, rows):
        heart = np.isin(ground["labels"][i], (LV_MYOCARDIUM, LV_CAVITY))
        crop = _square(_box(heart, MARGIN) or (0, heart.shape[0] - 1, 0, heart.shape[1] - 1), len(heart))
        scar = _box(ground["scar"][i], 2)
        for axis, (title, values) in zip(line, columns):
            if values is None:
                _draw(axis, np.minimum(ground["cine"][i].astype(np.float64), 1500), crop)
            elif title == "SD":
                sd = values[i].astype(np.float64)
                _draw(axis, colour_sd(sd, np.ones(sd.shape, bool))[..., :3], crop)
            else:
                _draw(axis, _lipari(values[i]), crop)
            if scar is not None:
                _rectangle(axis, scar, SCAR_BOX)
        line[0].set_ylabel(f"{ground['patient'][i]}\n{ground['level'][i]}", fontsize=8)
    for axis, (title, _) in zip(axes[0], columns):
        axis.set_title(_wrapped(title), fontsize=9)
    _colour_bar(figure, axes, lipari_table(), T1_WINDOW_MS, "T1 (ms)")
    if "sample" in maps:
        _colour_bar(figure, axes, sd_table(), SD_WINDOW_MS, "SD (ms)")
    return save(figure, study, folder, "fig5_patients", vector=False)


def exchange_figure(study: Study, folder: Path) -> list[str]:
    """Two patients' maps and the two with exchanged conditions; nothing where no method has them."""
    maps = read_pictures(study.folder / "pictures" / f"exchange {file_name(study.reference)}.npz")
    if not maps:
        return []
    figure, axes = plt.subplots(2, 2, figsize=(6.4, 5.8), layout="constrained")
    for row, mod in enumerate("AB"):
        for column, mor in enumerate("AB"):
            axis = axes[row, column]
            _draw(axis, _lipari(maps[mod + mor]), (16, 111, 16, 111))
            axis.set_title("own map" if mod == mor else "mixed", fontsize=9)
            if column == 0:
                axis.set_ylabel(f"$c_{{mod}}$ of patient {mod}", fontsize=10)
            if row == 1:
                axis.set_xlabel(f"$c_{{mor}}$ of patient {mor}", fontsize=10)
    _colour_bar(figure, axes, lipari_table(), T1_WINDOW_MS, "T1 (ms)")
    kinds = [
        f"{name} {'with' if sick else 'without'} an infarct" for name, sick in zip("AB", maps["infarct"])
    ]
    figure.suptitle(f"{study.label(study.reference)}: {', '.join(kinds)}", fontsize=10)
    return save(figure, study, folder, "disentanglement", vector=False)
