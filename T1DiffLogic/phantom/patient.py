"""One digital patient as a scanner would deliver it: a short-axis cine stack and native T1 maps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..dicom.molli import InversionSeries
from ..study import Cine, CineSource, SliceGeometry, T1Map
from .draws import Draws
from .hearts import Hearts, sample_hearts
from .motion import activation
from .planes import Planes
from .render import DigitalScan, MolliScan
from .shifts import Shift


@dataclass(frozen=True, eq=False)
class DigitalPatient:
    """A patient and what is true of it.

    cine, t1          the examination; `t1` has three slices (apical, mid, basal)
    t1_repeat         a second, independent T1 acquisition of the same slices (the ceiling)
    t1_truth_ms       (N, R, C) the noise-free map behind `t1`, same registration
    t1_labels         (N, R, C) uint8 labels behind `t1`
    t1_scar           (N, R, C) float32 share of infarct core
    labels            (S, P, R, C) uint8 labels of the cine: 1 RV, 2 LV myocardium, 3 LV cavity
    ed, es            phases of largest and smallest true cavity volume
    edv_ml, esv_ml, mass_g   true volumes; mass at 1.05 g/ml
    infarcted         whether there is a scar
    t1_expected_ms    None, or (N, R, C) the noise-free map of the same anatomy in an average person
    inversion         None, or the magnitude inversion images that `t1` was fitted to
    """

    seed: int
    cine: Cine
    t1: T1Map
    t1_repeat: T1Map
    t1_truth_ms: np.ndarray
    t1_labels: np.ndarray
    t1_scar: np.ndarray
    labels: np.ndarray
    ed: int
    es: int
    edv_ml: float
    esv_ml: float
    mass_g: float
    infarcted: bool
    t1_expected_ms: np.ndarray | None = None
    inversion: InversionSeries | None = None


@dataclass(frozen=True)
class _Frame:
    """The heart in the patient: apex position, base-to-apex direction, image axes (LPS mm)."""

    apex: np.ndarray
    to_apex: np.ndarray
    right: np.ndarray
    up: np.ndarray

    def geometry(self, height: float, centre, size: int, pixel: float, thickness: float) -> SliceGeometry:
        middle = self.apex - self.to_apex * height - centre[0] * self.right - centre[1] * self.up
        half = (size - 1) / 2 * pixel
        return SliceGeometry(
            origin=middle - half * self.right + half * self.up,
            row_direction=self.right,
            column_direction=-self.up,
            spacing=(pixel, pixel),
            shape=(size, size),
            thickness_mm=thickness,
        )


def _frame(d: Draws, view_degrees: float) -> _Frame:
    """Apex left, anterior, inferior; seen from the apex with the anterior wall up (standard display)."""
    to_apex = np.array([0.65, -0.52, -0.52]) + [float(d.normal(0, 0.08)) for _ in range(3)]
    to_apex /= np.linalg.norm(to_apex)
    anterior = np.array([0.0, -0.35, 1.0])
    anterior -= to_apex * (anterior @ to_apex)
    anterior /= np.linalg.norm(anterior)
    lateral = np.cross(anterior, to_apex)
    c, s = np.cos(np.radians(view_degrees)), np.sin(np.radians(view_degrees))
    apex = np.array([60.0, -55.0, -40.0]) + [float(d.normal(0, 12)) for _ in range(3)]
    return _Frame(apex, to_apex, c * lateral - s * anterior, s * lateral + c * anterior)


def _planes(
    heights, thickness: float, pixel: float, centres, rotation: float, view: float, size: int
) -> Planes:
    n = len(heights)

    def full(value):
        return torch.full((n,), float(value))

    return Planes(
        height=torch.as_tensor(np.asarray(heights), dtype=torch.float32),
        thickness=full(thickness),
        pixel=full(pixel),
        centre=torch.as_tensor(np.asarray(centres), dtype=torch.float32),
        rotation=full(rotation),
        mirrored=full(0),
        view=full(view),
        size=size,
    )


def _hearts(seed: int, n: int, options: dict, shift: Shift | None) -> Hearts:
    hearts = sample_hearts([seed] * n, **options)
    return hearts if shift is None or shift.hearts is None else shift.hearts(hearts)


def _scan(
    seed: int, n: int, planes: Planes, options: dict, shift: Shift | None, exam: int = 0
) -> DigitalScan:
    exam_seeds = [seed * 16 + exam] * n
    scan = DigitalScan(_hearts(seed, n, options, shift), planes, exam_seeds=exam_seeds)
    if shift is not None and shift.scanner is not None:
        # one scanner per patient: cine and both T1 scans are taken in one visit
        scan.scanner = shift.scanner(scan.scanner, (seed,) * n)
    return scan


@torch.no_grad()
def digital_patient(
    seed: int,
    *,
    phases: int = 25,
    infarcted: bool | None = None,
    wide: bool = False,
    uniform: bool = True,
    progress=None,
    t1_slices_only: bool = False,
    expected: bool = False,
    inversion: bool = False,
    shift: Shift | None = None,
) -> DigitalPatient:
    """The patient of one seed, rendered slice by slice.

    phases     cine phases over the whole cycle
    infarcted  None as drawn, True or False forces infarct or health
    wide       the training distribution instead of the physiological one
    uniform    False spaces the slices unevenly, as stacks pieced together are
    progress   called with the share done
    t1_slices_only  render the cine only where a T1 slice lies, base to apex in the same order; four times
               faster. The cine's gain may differ a little from that of the whole stack
    expected   also render `t1_expected_ms`
    inversion  also keep the images behind the T1 map
    shift      another scanner or another disease than those of the distribution (shifts.SHIFTS)
    """
    options = {"wide": wide, "infarcted": infarcted}
    hearts = _hearts(seed, 1, options, shift)
    d = Draws([seed ^ 0x7A710000])
    view = float(d.normal(0, 12))
    rotation = float(d.normal(0, 10))
    pixel, t1_pixel = float(d.uniform(1.2, 1.8)), float(d.uniform(1.4, 2.0))
    field_mm = float(d.uniform(290, 350))
    thickness, gap = 8.0, float(d.uniform(0, 2))
    frame = _frame(d, view)
    size, t1_size = (int(round(field_mm / p / 8)) * 8 for p in (pixel, t1_pixel))
    centre = (float(d.normal(0, 12)), float(d.normal(0, 12)))
    rate = float(hearts.heart_rate[0])

    probe = DigitalScan(hearts, _planes([40.0], thickness, pixel, [centre], rotation, view, 16))
    length = float(probe.ventricle.length[0])
    step = thickness + gap
    first = float(d.uniform(0.3, 0.9)) * step
    heights = np.arange(first, length + 0.6 * step, step)
    if not uniform:
        heights = heights + np.array([float(d.uniform(-1.5, 1.5)) for _ in heights])
    breath = np.array([[float(d.normal(0, 0.8)), float(d.normal(0, 0.8))] for _ in heights])
    # the T1 slices lie at three of the cine's positions, as planned from it
    levels = [int(np.abs(heights - share * length).argmin()) for share in (0.24, 0.50, 0.76)]
    t1_heights = heights[levels]
    if t1_slices_only:
        heights, breath = t1_heights, breath[levels]

    times = torch.arange(phases, dtype=torch.float32)[None] / phases
    images, labels = [], []
    for i, height in enumerate(heights):
        planes = _planes([height], thickness, pixel, [np.add(centre, breath[i])], rotation, view, size)
        frames, truth = _scan(seed, 1, planes, options, shift).cine(times)
        images.append(frames[0].numpy())
        labels.append(truth[0].numpy())
        if progress is not None:
            progress((i + 1) / (len(heights) + 3))
    trigger = np.broadcast_to(np.arange(phases) * 60000.0 / rate / phases, (len(heights), phases))
    # scanner numbers: 12-bit integers with myocardium at a few hundred
    gain = 4095.0 / max(8.0, float(np.max(images)) * 1.1)
    cine = Cine(
        images=np.round(np.stack(images) * gain),
        geometries=tuple(frame.geometry(h, centre, size, pixel, thickness) for h in heights),
        trigger_ms=trigger,
        source=CineSource(
            path="digital phantom", vendor="phantom", field_strength_t=3.0, heart_rate_bpm=rate
        ),
    )

    planes = _planes(t1_heights, thickness, t1_pixel, [centre] * 3, rotation, view, t1_size)
    geometries = tuple(frame.geometry(h, centre, t1_size, t1_pixel, thickness) for h in t1_heights)
    maps, expected_ms, series = [], None, None
    for exam in (1, 2):
        scan = _scan(seed, 3, planes, options, shift, exam)
        if exam == 1:
            truth_ms, t1_labels = scan.molli(noise=False)
            late = torch.full((3, 1), 0.03)
            shapes = scan.shapes(late, scan.scanner.t1_shift, scan.scanner.t1_height)
            scar = shapes.mixture["core"][:, 0] * (t1_labels == 2)
        noisy = scan.molli_scan()
        if exam == 1 and inversion:
            series = _inversion_series(noisy, geometries)
        if exam == 1 and expected:  # after the noise, which is the same with and without it
            expected_ms = scan.molli(noise=False, average=True)[0].numpy()
        maps.append(T1Map(values_ms=np.round(noisy.t1_ms.numpy()), geometries=geometries))
    edv, muscle = probe.ventricle.volumes_ml(0.0)
    esv, _ = probe.ventricle.volumes_ml(1.0)
    active = activation(hearts, times)[0].numpy()
    if progress is not None:
        progress(1.0)
    return DigitalPatient(
        seed=seed,
        cine=cine,
        t1=maps[0],
        t1_repeat=maps[1],
        t1_truth_ms=truth_ms.numpy(),
        t1_labels=t1_labels.numpy(),
        t1_scar=scar.numpy(),
        labels=np.stack(labels),
        ed=int(active.argmin()),
        es=int(active.argmax()),
        edv_ml=float(edv[0]),
        esv_ml=float(esv[0]),
        mass_g=float(muscle[0]) * 1.05,
        infarcted=bool(hearts.lesions[0].scar[0] > 0),
        t1_expected_ms=expected_ms,
        inversion=series,
    )


def _inversion_series(scan: MolliScan, geometries) -> InversionSeries:
    """Magnitude images as a scanner stores them, 12 bits, sorted by inversion time."""
    images = scan.images.abs().numpy()
    order = scan.times_ms[0].argsort().numpy()
    return InversionSeries(
        images=np.round(images * (4095 / images.max()))[:, order],
        times_ms=scan.times_ms.numpy()[:, order],
        inversion=np.repeat((np.arange(len(order)) >= 5)[None, order], len(images), axis=0),
        geometries=geometries,
    )
