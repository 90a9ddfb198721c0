"""GF-UNet on a whole study: find the heart in the field of view, then contour every phase around it.

Two looks with one network. The first sees the whole field at a coarse pixel size on a few phases
and finds the LV; the second sees 128 × 128 pixels of 1.4 mm around the LV's axis, on every phase.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch

from ..engine.checkpoint import load, read_config
from ..engine.precision import inference_precision
from ..errors import StudyError
from ..resources import installed_segmenter, trained_on
from ..study import LV_CAVITY, LV_MYOCARDIUM, RV, Cine, T1Map
from .base import end_at_base
from .intensity import T1_CEILING_MS, standardise
from .roi import Roi
from .rv_side import keep_on_one_side

SIZE, FINE_MM = 128, 1.4
COARSE_MM = (1.6, 3.2)
"""Pixel sizes of the first look that training covered."""

LOCATING_PHASES = 4
BATCH = 16

MINIMUM_LV_MM2 = 50.0
"""An LV (cavity and wall) smaller than 8 mm across is not one."""

NEIGHBOUR_PIXELS = 4
"""The RV must touch the LV within this, and nothing farther out belongs to the heart's LV."""

TRABECULAR_PIXELS = 2
"""Gaps of the RV that are closed: up to twice this (6 mm) wide."""

Progress = Callable[[float], None]


class Segmenter:
    """A trained GF-UNet with what turns its logits into a study's soft masks.

    provenance  `name` of its folder, `weights_sha256` and `trained_on`, a phrase; the masks drive the map,
                so a result says which network drew them. None for a network that came from no folder
    """

    def __init__(self, net: torch.nn.Module, device="cpu", provenance: dict[str, str] | None = None):
        self.provenance = provenance
        self.device = torch.device(device)
        self.net = net.to(self.device, memory_format=torch.channels_last).eval()

    @classmethod
    def load(cls, folder: str | Path | None = None, device="cpu") -> Segmenter:
        """From a model folder (None: the installed one). StudyError when it is missing or damaged."""
        folder = Path(folder or installed_segmenter())
        config = read_config(folder, "gf_unet")
        provenance = {
            "name": folder.resolve().name,
            "weights_sha256": config["weights_sha256"],
            "trained_on": trained_on(config["metadata"]),
        }
        return cls(load(folder, "gf_unet"), device, provenance)

    def segment_cine(self, cine: Cine, progress: Progress | None = None) -> np.ndarray:
        """(S, P, 4, R, C) float16 probabilities on the cine's own pixels.

        Background, RV, LV myocardium, LV cavity; background outside the region around the heart, and
        no LV on slices that a phase has above the mitral plane (`base`), and the RV on one side of it.
        Raises StudyError when no LV is found on any slice.
        """
        progress = progress or (lambda share: None)
        some = np.unique(np.linspace(0, cine.n_phases, LOCATING_PHASES, endpoint=False).astype(int))
        roi = self._locate(cine.images[:, some], cine.geometries, cine.images)
        progress(0.1)
        crops = roi.extract(cine.images)
        result = np.zeros((*cine.images.shape[:2], 4, *cine.images.shape[2:]), dtype=np.float16)
        for s in range(cine.n_slices):
            soft = tidied(self._soft(crops[s]), roi.pixel_mm)
            result[s] = restored(soft, roi, s)
            progress(0.1 + 0.9 * (s + 1) / cine.n_slices)
        end_at_base(result, cine.geometries)
        keep_on_one_side(result, cine.geometries)
        return result

    def segment_t1(self, t1: T1Map) -> np.ndarray:
        """(N, 4, R, C) float16 probabilities on the pixels of native T1 maps; background without an LV."""
        values = np.minimum(t1.values_ms, T1_CEILING_MS)[:, None]
        try:
            roi = self._locate(values, t1.geometries, None)
        except StudyError:
            # no LV: the map is only compared with, and align_t1 then goes by position and notes it
            nothing = np.zeros((t1.n_slices, 4, *t1.values_ms.shape[1:]), dtype=np.float16)
            nothing[:, 0] = 1
            return nothing
        crops = roi.extract(values)
        return np.stack(
            [restored(tidied(self._soft(c), roi.pixel_mm), roi, s)[0] for s, c in enumerate(crops)]
        )

    @torch.inference_mode()
    def _soft(self, images: np.ndarray) -> np.ndarray:
        """(N, 128, 128) images -> (N, 4, 128, 128) float32; the mean over the image and its mirror
        images, which the network was trained on alike."""
        parts = []
        for chunk in torch.from_numpy(np.ascontiguousarray(images)).split(BATCH):
            x = standardise(chunk.to(self.device))[:, None]
            total = 0
            for axes in ((), (-1,), (-2,)):
                view = x.flip(axes).contiguous(memory_format=torch.channels_last)
                with inference_precision(self.device):
                    logits = self.net(view)
                total = total + logits.float().softmax(1).flip(axes)
            parts.append((total / 3).cpu())
        return torch.cat(parts).numpy()

    def _locate(self, images: np.ndarray, geometries, moving: np.ndarray | None) -> Roi:
        """The region of interest around the LV, from a coarse look at (S, F, R, C) `images`.

        moving  None, or all phases (S, P, R, C): where the image changes over the beat, the heart is
        """
        field = max(max(n * d for n, d in zip(g.shape, g.spacing)) for g in geometries)
        coarse = float(np.clip(field / SIZE, *COARSE_MM))
        middle = np.array([[(n - 1) / 2 for n in g.shape] for g in geometries])
        whole = Roi(middle, tuple(geometries), SIZE, coarse)
        crops = whole.extract(images)
        soft = self._soft(crops.reshape(-1, SIZE, SIZE)).reshape(*crops.shape[:2], 4, SIZE, SIZE)
        lv = (soft[:, :, LV_MYOCARDIUM] + soft[:, :, LV_CAVITY]).mean(axis=1)
        if moving is not None:
            lv = lv * _motion(whole.extract(moving[:, :: max(1, moving.shape[1] // 8)]))
        lv = _around_peak(lv, coarse)
        centred = whole.restore(np.where(lv > 0.25, lv, 0))
        return Roi.around(_as_masks(centred), geometries, SIZE, FINE_MM)


def _as_masks(lv: np.ndarray) -> np.ndarray:
    masks = np.zeros((len(lv), 4, *lv.shape[1:]), dtype=np.float32)
    masks[:, LV_CAVITY] = lv
    return masks


def _motion(frames: np.ndarray) -> np.ndarray:
    """(S, F, H, W) -> (S, H, W) weight 0.4…1, high where the image changes over the beat."""
    change = frames.std(axis=1)
    smooth = _blurred(change, 4.0)
    top = np.quantile(smooth, 0.98, axis=(1, 2), keepdims=True)
    return 0.4 + 0.6 * np.clip(smooth / np.maximum(top, 1e-6), 0, 1)


def _blurred(images: np.ndarray, sigma: float) -> np.ndarray:
    return np.stack(
        [
            sitk.GetArrayFromImage(
                sitk.DiscreteGaussian(sitk.GetImageFromArray(i.astype(np.float32)), sigma**2)
            )
            for i in images
        ]
    )


def _around_peak(lv: np.ndarray, pixel_mm: float) -> np.ndarray:
    """Keep (S, H, W) LV evidence within 45 mm of its strongest place in the stack."""
    together = _blurred(lv.sum(axis=0)[None], 10.0 / pixel_mm)[0]
    row, column = np.unravel_index(together.argmax(), together.shape)
    rows, columns = np.indices(together.shape)
    near = np.hypot(rows - row, columns - column) * pixel_mm < 45
    return lv * near


def restored(soft: np.ndarray, roi: Roi, s: int) -> np.ndarray:
    """(N, 4, 128, 128) of slice `s` -> (N, 4, R, C) float16 on the source pixels."""
    one = Roi(roi.centres[s : s + 1], roi.geometries[s : s + 1], roi.size, roi.pixel_mm)
    back = one.restore(soft[None])[0]
    back[:, 0] = 1 - back[:, 1:].sum(axis=1).clip(0, 1)
    return back.astype(np.float16)


def tidied(soft: np.ndarray, pixel_mm: float) -> np.ndarray:
    """Probabilities (N, 4, H, W) with one heart each: the LV's largest piece, and the RV beside it.

    What belongs to neither becomes background; a cavity without wall around it stays, for the base.
    Papillary muscles and trabeculae count as cavity (as in ACDC): what a chamber encloses is its own.
    """
    result = soft.copy()
    labels = soft.argmax(axis=1)
    for n, found in enumerate(labels):
        lv = _largest((found == LV_MYOCARDIUM) | (found == LV_CAVITY))
        if lv.sum() * pixel_mm**2 < MINIMUM_LV_MM2:
            lv = np.zeros_like(lv)
        near = _dilated(lv, NEIGHBOUR_PIXELS)
        result[n, LV_MYOCARDIUM] *= near
        result[n, LV_CAVITY] *= near
        rv = _largest(found == RV)
        # with an LV in sight, an RV elsewhere is a stomach or the liver
        if lv.any() and not (rv & near).any():
            rv = np.zeros_like(rv)
        result[n, RV] *= _dilated(rv, NEIGHBOUR_PIXELS)
        result[n, 0] = 1 - result[n, 1:].sum(axis=0)
        cavity = lv & (found == LV_CAVITY)
        _enclose(result[n], RV, _filled(_closed(rv, TRABECULAR_PIXELS)) & ~lv)
        _enclose(result[n], LV_CAVITY, _filled(cavity))
    return result


def _enclose(soft: np.ndarray, label: int, inside: np.ndarray) -> None:
    """Makes `label` the likeliest of (4, H, W) probabilities `inside`, with what the likeliest had."""
    likeliest = soft.argmax(axis=0)
    rows, columns = np.nonzero(inside & (likeliest != label))
    other = likeliest[rows, columns]
    held = soft[label, rows, columns].copy()
    soft[label, rows, columns] = soft[other, rows, columns]
    soft[other, rows, columns] = held


def _closed(mask: np.ndarray, pixels: int) -> np.ndarray:
    if not mask.any():
        return mask
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    return sitk.GetArrayFromImage(sitk.BinaryMorphologicalClosing(image, [pixels, pixels])).astype(bool)


def _filled(mask: np.ndarray) -> np.ndarray:
    """`mask` with its holes."""
    if not mask.any():
        return mask
    return sitk.GetArrayFromImage(sitk.BinaryFillhole(sitk.GetImageFromArray(mask.astype(np.uint8)))) > 0


def _largest(mask: np.ndarray) -> np.ndarray:
    if not mask.any():
        return mask
    pieces = sitk.RelabelComponent(sitk.ConnectedComponent(sitk.GetImageFromArray(mask.astype(np.uint8))))
    return sitk.GetArrayViewFromImage(pieces) == 1


def _dilated(mask: np.ndarray, pixels: int) -> np.ndarray:
    if not mask.any():
        return mask
    grown = sitk.BinaryDilate(sitk.GetImageFromArray(mask.astype(np.uint8)), [pixels, pixels])
    return sitk.GetArrayFromImage(grown).astype(bool)
