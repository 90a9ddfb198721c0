"""From hearts and planes to images: cine frames, labels, and MOLLI T1 maps of the same slices."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch

from ..look_locker import fit_signed
from ..study import LV_CAVITY, LV_MYOCARDIUM, RV
from .background import INKS, Surroundings, paint_background, sample_surroundings
from .draws import Draws, field_generator
from .hearts import Hearts
from .motion import RAD, Ventricle, activation, build_ventricles, lesion_extent
from .planes import Planes, coverage, fields_per_seed, gaussian_blur, smooth_field
from .signal import bssfp, molli_signal, molli_times, true_t1

COIL_MM = 100.0
"""Distance of the nodes between which coil sensitivity and field vary: surface coils lie that far off."""

ANGLES = 720
"""Directions at which walls are tabulated; half a degree is 0.3 mm at the epicardium."""


@dataclass(frozen=True)
class Scanner:
    """How one examination is acquired, (B,) unless said."""

    flip: torch.Tensor
    snr: torch.Tensor
    blur: torch.Tensor  # pixels
    shading: torch.Tensor  # coil sensitivity: relative deviation at two SD
    banding: torch.Tensor
    inflow: torch.Tensor
    flow_texture: torch.Tensor
    transfer: torch.Tensor  # magnetisation transfer: extra bSSFP signal of oedema and core
    texture: torch.Tensor
    t1_snr: torch.Tensor
    t1_shift: torch.Tensor  # (B, 2) mm in plane
    t1_height: torch.Tensor  # mm through plane
    t1_field: torch.Tensor  # smooth relative T1 error by off-resonance
    scramble: torch.Tensor  # 1: background signals drawn at random (domain randomisation)
    random_inks: torch.Tensor  # (B, len(INKS))
    contrast: torch.Tensor  # exponent on the myocardium-blood contrast
    muted: torch.Tensor  # background texture strength


def sample_scanner(seeds, wide: bool, device="cpu") -> tuple[Scanner, Surroundings]:
    """Draw scanner and surroundings per seed (independent of the heart's own draws)."""
    d = Draws([int(s) ^ 0x5CA00000 for s in seeds], device)
    k = 1.8 if wide else 1.0
    scanner = Scanner(
        flip=d.uniform(32, 65) if wide else d.uniform(40, 50),
        snr=d.log_uniform(9, 55) if wide else d.uniform(20, 40),
        blur=d.uniform(0.0, 1.1) if wide else d.uniform(0.25, 0.6),
        shading=d.uniform(0.0, 0.8) if wide else d.uniform(0.2, 0.3),
        banding=d.uniform(0.0, 0.6) * d.chance(0.5 if wide else 0.3),
        inflow=d.uniform(0.75, 1.35) if wide else d.uniform(0.9, 1.15),
        flow_texture=d.uniform(0.0, 0.14) if wide else d.uniform(0.02, 0.07),
        transfer=d.uniform(1.0, 1.08) if wide else d.uniform(1.0, 1.05),
        texture=d.uniform(0.0, 0.03) if wide else d.uniform(0.005, 0.015),
        t1_snr=d.log_uniform(15, 60) if wide else d.uniform(28, 42),
        t1_shift=torch.stack([d.normal(0, 1.4), d.normal(0, 1.4)], -1),
        t1_height=d.normal(0, 1.2),
        t1_field=d.uniform(0.0, 0.02) if wide else d.uniform(0.0, 0.012),
        scramble=d.chance(0.4 if wide else 0.0),
        random_inks=torch.stack([d.log_uniform(0.02, 1.6) for _ in INKS], -1),
        contrast=d.uniform(0.7, 1.3) if wide else torch.ones(len(seeds), device=device),
        muted=d.uniform(0.0, 0.35) if wide else d.uniform(0.0, 0.10),
    )
    return scanner, sample_surroundings(d, k > 1)


@dataclass(frozen=True)
class Shapes:
    """Where everything is in B slices at F moments; coverages and labels (B, F, H, W)."""

    cavity: torch.Tensor
    epicardium: torch.Tensor
    rv: torch.Tensor
    rv_wall: torch.Tensor
    atrium: torch.Tensor
    fat: torch.Tensor
    papillary: torch.Tensor
    mixture: dict[str, torch.Tensor]  # share of oedema, core, mvo inside the wall
    labels: torch.Tensor  # uint8: 1 RV, 2 LV myocardium, 3 LV cavity


@dataclass(frozen=True)
class WallTables:
    """The walls over ANGLES directions of one plane at F moments, (B, F, ANGLES) mm; level (B, F)."""

    endo: torch.Tensor
    epi: torch.Tensor
    rough_endo: torch.Tensor  # with trabeculae, which the labels count as cavity
    level: torch.Tensor
    extents: tuple[dict[str, torch.Tensor], ...]  # per lesion: oedema, core, mvo


class MolliScan(NamedTuple):
    """One MOLLI examination of B slices.

    t1_ms    (B, H, W) as the scanner would deliver it, its systematic error included
    labels   (B, H, W) uint8
    images   (B, 8, H, W) signed inversion images in order of acquisition
    times_ms (B, 8) inversion times
    """

    t1_ms: torch.Tensor
    labels: torch.Tensor
    images: torch.Tensor
    times_ms: torch.Tensor


class DigitalScan:
    """B hearts, each cut by one plane, under one scanner. Renders any moments of any of them."""

    def __init__(self, hearts: Hearts, planes: Planes, *, fields=None, exam_seeds=None):
        """`fields` "shared" draws the random fields of the batch from one generator (training
        stream, faster); default is one generator per heart, so that a heart does not depend on
        its neighbours. `exam_seeds` replace the hearts' own seeds for scanner and noise (a second
        examination of the same heart)."""
        self.hearts, self.planes = hearts, planes
        self.ventricle: Ventricle = build_ventricles(hearts)
        seeds = hearts.seeds if exam_seeds is None else tuple(exam_seeds)
        self.scanner, _ = sample_scanner(seeds, hearts.wide, hearts.device)
        _, self.around = sample_scanner(hearts.seeds, hearts.wide, hearts.device)
        self._shared = fields == "shared"
        self._seeds = seeds
        if self._shared:
            self._generators = [field_generator(seeds[0], "fields", hearts.device)]
        else:  # slices of one heart differ by their height
            self._generators = [
                field_generator(s * 1024 + int(round(float(z) * 4)), "fields", hearts.device)
                for s, z in zip(seeds, planes.height)
            ]
        self._x, self._y = planes.heart_coordinates()
        # of the heart, not of the examination: cine, T1 map and repeat must show the same surroundings
        place = self._generators
        if not self._shared:
            place = [
                field_generator(s * 1024 + int(round(float(z) * 4)), "surroundings", hearts.device)
                for s, z in zip(hearts.seeds, planes.height)
            ]
        self._warp = self._field(2, 5, place) * 6.0
        self._lobes = torch.cat([self._field(1, 26, place), self._field(1, 7, place)], dim=1)
        self._true_t1 = {name: true_t1(t) for name, t in hearts.tissues.items()}

    # --- random fields -------------------------------------------------------------------------
    def _field(self, channels: int, cells: int, generators=None) -> torch.Tensor:
        n = self.planes.size
        generators = generators or self._generators
        if self._shared:
            return smooth_field(generators[0], len(self.hearts), channels, cells, n)
        return fields_per_seed(generators, channels, cells, n)

    def _coil_fields(self, channels: int) -> torch.Tensor:
        """Fields that vary over COIL_MM, whatever the field of view."""
        n = self.planes.size
        # a field of c cells has c + 3 nodes
        cells = (self.planes.pixel * n / COIL_MM).round().clamp_min(1) - 2
        if self._shared:
            return self._field(channels, int(cells.mean().round()))
        each = zip(self._generators, cells.int().tolist())
        return torch.cat([smooth_field(g, 1, channels, c, n) for g, c in each])

    def _noise(self, shape) -> torch.Tensor:
        if self._shared:
            g = self._generators[0]
            return torch.randn(shape, generator=g, device=g.device)
        return torch.stack([torch.randn(shape[1:], generator=g, device=g.device) for g in self._generators])

    # --- anatomy -------------------------------------------------------------------------------
    def shapes(self, s: torch.Tensor, shift=None, lift=None) -> Shapes:
        """Anatomy at activations s (B, F); `shift` (B, 2) mm and `lift` (B,) mm displace the heart
        in and through the plane."""
        h, v = self.hearts, self.ventricle
        a = s[:, :, None, None]

        def col(values):
            return values[:, None, None, None]

        z = self.planes.height if lift is None else self.planes.height + lift
        drift = h.tilt * (z - 0.55 * v.length)[:, None]
        if shift is not None:
            drift = drift + shift
        x = self._x[:, None] - col(drift[:, 0]) - col(h.sway[:, 0]) * a
        y = self._y[:, None] - col(drift[:, 1]) - col(h.sway[:, 1]) * a
        radius = (x.square() + y.square()).sqrt()

        # a plane has one level, so walls and lesions are functions of the angle alone: tabulate
        wall = self._wall_tables(z, s)
        index = ((torch.atan2(y, x) / (2 * math.pi)) * ANGLES).round().long() % ANGLES
        flat = index.flatten(2)

        def at_pixels(table):
            return table.gather(2, flat).reshape(index.shape)

        endo, epi = at_pixels(wall.endo), at_pixels(wall.epi)
        level = wall.level[:, :, None, None]
        # a wall that is oblique to the plane fades over the slice thickness
        obliquity = ((0.30 - level) / 0.30).clamp(0, 1) * 0.9 + 0.12
        slant = obliquity * col(self.planes.thickness)
        edge = (col(self.planes.pixel).square() + slant.square() * 0.25).sqrt()
        above = torch.sigmoid((level - 1.0) / 0.012)  # share of the slice above the base plane
        inside = (col(z) > 0).float()
        ventricle = (1 - above) * inside
        has_cavity = (endo > 0.5) * ventricle
        cavity = coverage(radius - at_pixels(wall.rough_endo), edge) * has_cavity
        epicardium = coverage(radius - epi, edge) * ventricle
        atrium = coverage(radius - 0.85 * endo, edge) * above

        # the RV: an ellipse behind the septum, cut out by the LV
        size = wall.epi.mean(-1)[:, :, None, None]
        grow = ((level - col(h.rv_start)) / (0.85 - col(h.rv_start))).clamp(0, 1)
        width = col(h.rv_width) * grow.sqrt() * (1 - col(h.rv_contraction) * a)
        height = size * col(h.rv_height) * (0.55 + 0.45 * grow.sqrt()) * (1 - 0.3 * col(h.rv_contraction) * a)
        turn = col(h.septal_angle) * RAD
        xs, ys = x * turn.cos() + y * turn.sin(), -x * turn.sin() + y * turn.cos()
        middle, half = -0.78 * size, 0.22 * size + width
        norm = (((xs + 0.10 * ys - middle) / half).square() + (ys / height).square()).sqrt()
        rv_distance = (norm - 1) * torch.minimum(half, height)
        present = (grow > 0.02) * inside
        rv = coverage(rv_distance, edge) * present * (xs < 0.4 * size)
        rv_wall = coverage(rv_distance - 3.0, edge) * present * (xs < 0.6 * size)
        heart_distance = torch.where(present > 0, torch.minimum(radius - epi, rv_distance), radius - epi)
        fat = coverage(heart_distance - 3.0 - col(self.around.epicardial_fat), edge * 2)

        papillary = torch.zeros_like(x)
        reach = wall.endo.mean(-1)[:, :, None, None]
        seen = torch.sigmoid((level - 0.33) / 0.02) * torch.sigmoid((0.72 - level) / 0.03)
        for i in range(2):
            at, size_mm, gap = (col(h.papillaries[:, i, k]) for k in range(3))
            out = (reach - size_mm * 0.9) * (1 - gap)
            dx, dy = x - out * torch.cos(at * RAD), y - out * torch.sin(at * RAD)
            blob = (dx.square() + dy.square()).sqrt()
            papillary = torch.maximum(papillary, coverage(blob - size_mm, edge) * seen * cavity)

        depth = ((radius - endo) / (epi - endo).clamp_min(0.5)).clamp(0, 1)
        mixture = {name: torch.zeros_like(x) for name in ("oedema", "core", "mvo")}
        for lesion, extent in zip(h.lesions, wall.extents):
            scar, reach = col(lesion.scar), col(lesion.transmurality)
            core = torch.sigmoid((reach - depth) / 0.07)
            shares = {
                "oedema": at_pixels(extent["oedema"]) * torch.sigmoid((reach + 0.3 - depth) / 0.07),
                "core": at_pixels(extent["core"]) * core,
                "mvo": at_pixels(extent["mvo"])
                * torch.sigmoid((0.65 * reach - depth) / 0.07)
                * torch.sigmoid((depth - 0.08) / 0.05)
                * col(lesion.mvo),
            }
            for name, share in shares.items():
                mixture[name] = torch.maximum(mixture[name], scar * share)

        in_lv = (level < 1.0) & (inside > 0.5)
        labels = torch.zeros(x.shape, dtype=torch.uint8, device=x.device)
        labels[(rv_distance < 0) & (present > 0) & (xs < 0.4 * size) & (level < 1.03)] = RV
        labels[(radius < epi) & in_lv] = LV_MYOCARDIUM
        labels[(endo > 0.5) & (radius < endo) & in_lv] = LV_CAVITY
        return Shapes(cavity, epicardium, rv, rv_wall, atrium, fat, papillary, mixture, labels)

    def _wall_tables(self, z: torch.Tensor, s: torch.Tensor) -> WallTables:
        h = self.hearts
        angle = (torch.arange(ANGLES, device=s.device) * (360.0 / ANGLES)).expand(*s.shape, ANGLES)
        endo, epi, u, material = self.ventricle.radii(
            z[:, None, None].expand_as(angle), angle, s[:, :, None].expand_as(angle)
        )
        waves = torch.cos((7 * material + 40 * torch.sin(3 * material * RAD)) * RAD)
        rough = endo * (1 - h.trabeculae[:, None, None] * (1 + waves))
        extents = tuple(
            {
                name: lesion_extent(lesion, u, material, grow)
                for name, grow in (("oedema", 1.22), ("core", 1.0), ("mvo", 0.55))
            }
            for lesion in h.lesions
        )
        return WallTables(endo, epi, rough, u[..., 0], extents)

    # --- signal --------------------------------------------------------------------------------
    def _paint(self, inks: dict, shapes: Shapes, moment: int, canvas: torch.Tensor, texture=None, flow=None):
        """Heart over `canvas` (B, C, H, W) at one moment; inks are (B, C)."""

        def over(image, ink, cover):
            value = ink if ink.ndim == 4 else ink[:, :, None, None]
            return torch.lerp(image, value.expand_as(image), cover[:, moment, None])

        wall = inks["myocardium"][:, :, None, None].expand_as(canvas)
        for name, share in shapes.mixture.items():
            wall = over(wall, inks[name], share)
        if texture is not None:
            wall = wall * texture
        blood = inks["blood"][:, :, None, None] * (1 if flow is None else flow)
        canvas = over(canvas, inks["fat"], shapes.fat * 0.9)
        canvas = over(canvas, inks["myocardium"], shapes.rv_wall * 0.9)
        canvas = over(canvas, blood, shapes.rv)
        canvas = over(canvas, blood, shapes.atrium)
        canvas = over(canvas, wall, shapes.epicardium)
        canvas = over(canvas, blood, shapes.cavity)
        return over(canvas, inks["myocardium"], shapes.papillary)

    def cine(self, times: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Frames at fractions of the cycle `times` (B, F).

        Returns magnitude images (B, F, H, W), remote myocardium near 1, and labels uint8 (B, F, H, W).
        """
        h, sc = self.hearts, self.scanner
        b, n = len(h), self.planes.size
        inks = {name: bssfp(t, self._true_t1[name], sc.flip) for name, t in h.tissues.items()}
        reference = inks["myocardium"]
        inks = {name: value / reference for name, value in inks.items()}
        for name in ("oedema", "core"):
            inks[name] = inks[name] * sc.transfer
        inks["blood"] = inks["blood"].pow(sc.contrast) * sc.inflow
        inks["air"], inks["bone"] = torch.zeros_like(reference), 0.6 * torch.ones_like(reference)
        typical = inks["blood"].clamp_min(1.0)
        for i, name in enumerate(INKS):
            if name not in ("blood", "air"):
                inks[name] = torch.lerp(inks[name], sc.random_inks[:, i] * typical, sc.scramble)
        inks = {name: value[:, None] for name, value in inks.items()}

        fields = self._coil_fields(3)
        fine = self._field(2, 16)
        ground = paint_background(self.around, self.planes, inks, self._warp, self._lobes)
        ground = ground * (1 + sc.muted[:, None, None, None] * fine[:, :1]).clamp_min(0.1)
        texture = 1 + sc.texture[:, None, None, None] * fine[:, 1:]
        shapes = self.shapes(activation(h, times))
        frames = []
        for m in range(times.shape[1]):
            flow = 1 + sc.flow_texture[:, None, None, None] * torch.roll(fine[:, 1:], 5 * m, -1)
            frames.append(self._paint(inks, shapes, m, ground, texture, flow)[:, 0])
        images = torch.stack(frames, dim=1)
        shade = torch.exp(sc.shading[:, None, None, None] / 2 * fields[:, :1])
        phase = 2.2 * fields[:, 1:2] + 0.4 * fields[:, 2:]
        dip = 1 - sc.banding[:, None, None, None] * torch.exp(-((phase.abs() - 3.0) / 0.5).square())
        images = gaussian_blur(images * shade * dip, sc.blur)
        sigma = (1.0 / sc.snr)[:, None, None, None]
        noise = self._noise((b, 2 * times.shape[1], n, n)) * sigma
        real, imaginary = noise.chunk(2, dim=1)
        return ((images + real).square() + imaginary.square()).sqrt(), shapes.labels

    def molli(
        self, *, noise: bool = True, misregistration: float = 1.0, average: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """T1 (B, H, W) in ms and labels uint8 (B, H, W) of `molli_scan`."""
        scan = self.molli_scan(noise=noise, misregistration=misregistration, average=average)
        return scan.t1_ms, scan.labels

    def molli_scan(
        self, *, noise: bool = True, misregistration: float = 1.0, average: bool = False
    ) -> MolliScan:
        """MOLLI 5(3)3 of each slice, late diastole: the map and the images that it was fitted to.

        noise            False: the noise-free map of the same anatomy (the truth behind the scan)
        misregistration  share of the in-plane shift between the cine and T1 breath-holds; 0 with
                         the same through-plane position, too
        average          True: tissues of an average person in place of this one's own
        """
        h, sc = self.hearts, self.scanner
        b = len(h)
        tissues, t1_of = h.tissues, self._true_t1
        if average:
            tissues = h.average_tissues
            t1_of = {name: true_t1(t) for name, t in tissues.items()}
        inks = {
            name: molli_signal(t1_of[name], t.t2_ms, t.density, h.heart_rate) for name, t in tissues.items()
        }
        inks["air"] = torch.zeros_like(inks["blood"])
        inks["bone"] = 0.5 * inks["fat"]
        fields = self._field(1, 5)
        ground = paint_background(self.around, self.planes, inks, self._warp, self._lobes)
        late = torch.full((b, 1), 0.0, device=h.device) + 0.03
        shift = sc.t1_shift * misregistration
        lift = sc.t1_height if misregistration > 0 else None
        shapes = self.shapes(late, shift, lift)
        images = self._paint(inks, shapes, 0, ground)
        images = gaussian_blur(images, sc.blur.clamp_min(0.35))
        if noise:
            level = inks["myocardium"][:, 4].abs() / sc.t1_snr
            images = images + self._noise(images.shape) * level[:, None, None, None]
        times = molli_times(h.heart_rate)
        t1 = torch.stack([fit_signed(images[i].movedim(0, -1).contiguous(), times[i])[0] for i in range(b)])
        if noise:
            t1 = t1 * (1 + sc.t1_field[:, None, None] * fields[:, 0])
        return MolliScan(t1.clamp(0, 4000), shapes.labels[:, 0], images, times)
