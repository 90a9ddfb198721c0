"""The records that travel through T1Diff: frozen, validated where they enter, LPS mm and ms.

Array axes are always named in this order: S slices, P phases, R rows, C columns. Slices are
sorted by their position along the stack normal (row direction × column direction), phases by
trigger time. Pixel coordinates are (row, column) with the centre of the first pixel at (0, 0).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .errors import StudyError

BACKGROUND, RV, LV_MYOCARDIUM, LV_CAVITY = 0, 1, 2, 3
"""Label values of every segmentation that T1Diff reads or writes."""

LABEL_NAMES = {RV: "RV", LV_MYOCARDIUM: "LV myocardium", LV_CAVITY: "LV cavity"}

RESEARCH_NOTICE = "SYNTHETIC T1 – FOR RESEARCH ONLY, NOT FOR CLINICAL USE"
T1_SCALE_NOTICE = "3 T MOLLI 5(3)3-equivalent ms"


def _frozen(array, dtype, shape, what) -> np.ndarray:
    """A read-only contiguous copy of `array` with `dtype`; `shape` entries of None are free."""
    result = np.array(array, dtype=dtype, order="C")
    if result.ndim != len(shape) or any(w not in (None, g) for w, g in zip(shape, result.shape)):
        raise StudyError(f"{what} has shape {result.shape}, expected {shape} (None = any).")
    result.setflags(write=False)
    return result


@dataclass(frozen=True, eq=False)
class SliceGeometry:
    """Where one image lies in the patient (DICOM PS3.3 C.7.6.2, Image Plane Module), LPS mm.

    origin            (3,) centre of pixel (0, 0): ImagePositionPatient (0020,0032)
    row_direction     (3,) unit vector along a row, i.e. of increasing column index: the first
                      triple of ImageOrientationPatient (0020,0037)
    column_direction  (3,) unit vector of increasing row index: the second triple
    spacing           (between rows, between columns) mm: PixelSpacing (0028,0030)
    shape             (rows, columns)
    thickness_mm      SliceThickness (0018,0050)
    """

    origin: np.ndarray
    row_direction: np.ndarray
    column_direction: np.ndarray
    spacing: tuple[float, float]
    shape: tuple[int, int]
    thickness_mm: float = 8.0

    def __post_init__(self):
        for name in ("origin", "row_direction", "column_direction"):
            value = _frozen(getattr(self, name), np.float64, (3,), f"SliceGeometry.{name}")
            if not np.isfinite(value).all():
                raise StudyError(f"SliceGeometry.{name} is not finite: {value}.")
            object.__setattr__(self, name, value)
        spacing = tuple(float(v) for v in self.spacing)
        if len(spacing) != 2 or not all(np.isfinite(v) and 0.05 < v < 50 for v in spacing):
            raise StudyError(f"pixel spacing {spacing} mm is not plausible (0.05 to 50 mm).")
        object.__setattr__(self, "spacing", spacing)
        object.__setattr__(self, "shape", tuple(int(v) for v in self.shape))
        a, b = self.row_direction, self.column_direction
        if abs(np.linalg.norm(a) - 1) > 1e-3 or abs(np.linalg.norm(b) - 1) > 1e-3 or abs(a @ b) > 1e-3:
            raise StudyError("ImageOrientationPatient is not two perpendicular unit vectors.")

    @property
    def normal(self) -> np.ndarray:
        """(3,) unit normal, row direction × column direction."""
        normal = np.cross(self.row_direction, self.column_direction)
        return normal / np.linalg.norm(normal)

    @property
    def centre(self) -> np.ndarray:
        """(3,) LPS mm of the middle of the image."""
        rows, columns = self.shape
        return self.to_patient(np.array([(rows - 1) / 2, (columns - 1) / 2]))

    def to_patient(self, pixels: np.ndarray) -> np.ndarray:
        """(..., 2) pixel coordinates (row, column) -> (..., 3) LPS mm."""
        pixels = np.asarray(pixels, dtype=np.float64)
        return (
            self.origin
            + pixels[..., 0:1] * self.spacing[0] * self.column_direction
            + pixels[..., 1:2] * self.spacing[1] * self.row_direction
        )

    def to_pixel(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) LPS mm -> (..., 2) (row, column) of their projection on this plane."""
        offset = np.asarray(points, dtype=np.float64) - self.origin
        return np.stack(
            [offset @ self.column_direction / self.spacing[0], offset @ self.row_direction / self.spacing[1]],
            axis=-1,
        )

    def distance(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) LPS mm -> (...) signed distance in mm to this plane along its normal."""
        return (np.asarray(points, dtype=np.float64) - self.origin) @ self.normal


@dataclass(frozen=True, eq=False)
class CineSource:
    """What is known of a cine's origin, without any patient identifier.

    files       S tuples of the P file paths (may be empty for non-DICOM input)
    ignored     sentences naming each series that was set aside, and why
    notes       sentences on every fallback taken while grouping
    frames      S tuples of P frame numbers inside those files, from 0 (may be empty as `files` may)
    """

    path: str = ""
    vendor: str = ""
    field_strength_t: float | None = None
    heart_rate_bpm: float | None = None
    files: tuple[tuple[str, ...], ...] = ()
    ignored: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    frames: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, eq=False)
class Cine:
    """A short-axis cine stack: S slices × P phases.

    images         (S, P, R, C) float32, arbitrary units
    geometries     S SliceGeometry, sorted along the normal; need not be uniformly spaced
    trigger_ms     (S, P) float64 ms after the R wave, increasing along P
    """

    images: np.ndarray
    geometries: tuple[SliceGeometry, ...]
    trigger_ms: np.ndarray
    source: CineSource = field(default_factory=CineSource)

    def __post_init__(self):
        images = _frozen(self.images, np.float32, (None,) * 4, "Cine.images")
        if not np.isfinite(images).all():
            raise StudyError("the cine holds NaN or infinite pixel values; export it again.")
        geometries = tuple(self.geometries)
        if len(geometries) != images.shape[0]:
            raise StudyError(f"{len(geometries)} slice geometries for {images.shape[0]} slices.")
        if images.shape[1] < 2:
            raise StudyError("the cine has a single phase; T1Diff needs the cardiac cycle.")
        if any(g.shape != images.shape[2:] for g in geometries):
            raise StudyError("slice geometry and image size disagree.")
        object.__setattr__(self, "images", images)
        object.__setattr__(self, "geometries", geometries)
        object.__setattr__(
            self, "trigger_ms", _frozen(self.trigger_ms, np.float64, images.shape[:2], "Cine.trigger_ms")
        )

    @property
    def n_slices(self) -> int:
        return self.images.shape[0]

    @property
    def n_phases(self) -> int:
        return self.images.shape[1]

    def is_uniform(self, tolerance_mm: float = 0.1) -> bool:
        """True when the slices are parallel, aligned and evenly spaced, i.e. one volume holds them."""
        return stack_is_uniform(self.geometries, tolerance_mm)


def stack_is_uniform(geometries, tolerance_mm: float = 0.1) -> bool:
    """True when one volume (origin, directions, one spacing) describes all `geometries`."""
    if len(geometries) < 2:
        return True
    first = geometries[0]
    steps = np.diff([g.origin for g in geometries], axis=0)
    return bool(
        all(g.spacing == first.spacing and g.shape == first.shape for g in geometries)
        and all(
            np.abs(g.row_direction - first.row_direction).max() < 1e-3
            and np.abs(g.column_direction - first.column_direction).max() < 1e-3
            for g in geometries
        )
        and np.abs(steps - steps.mean(axis=0)).max() < tolerance_mm
        # sheared stacks are aligned slice by slice but no volume holds them
        and np.linalg.norm(np.cross(steps.mean(axis=0), first.normal)) < tolerance_mm * 2
    )


@dataclass(frozen=True, eq=False)
class T1Map:
    """Native T1 maps: N slices, each with its own geometry.

    values_ms   (N, R, C) float32 ms; 0 where the map holds no value
    geometries  N SliceGeometry
    notes       sentences on scaling and what was set aside
    """

    values_ms: np.ndarray
    geometries: tuple[SliceGeometry, ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        values = _frozen(self.values_ms, np.float32, (None,) * 3, "T1Map.values_ms")
        if not np.isfinite(values).all():
            raise StudyError("the T1 map holds NaN or infinite values; export it again as ms.")
        geometries = tuple(self.geometries)
        if len(geometries) != values.shape[0] or any(g.shape != values.shape[1:] for g in geometries):
            raise StudyError("T1 map and slice geometry disagree.")
        object.__setattr__(self, "values_ms", values)
        object.__setattr__(self, "geometries", geometries)

    @property
    def n_slices(self) -> int:
        return self.values_ms.shape[0]


@dataclass(frozen=True, eq=False)
class CardiacPhases:
    """End-diastole and end-systole, counted from 0.

    area_mm2  (P,) LV cavity area summed over the mid slices; empty when none was measured
    """

    ed: int
    es: int
    count: int
    area_mm2: np.ndarray = field(default_factory=lambda: np.zeros(0))
    given: bool = False

    def __post_init__(self):
        for name, value in (("ED", self.ed), ("ES", self.es)):
            if not 0 <= value < self.count:
                raise StudyError(f"{name} phase {value} is outside 0…{self.count - 1}; phases count from 0.")
        if self.ed == self.es:
            raise StudyError(f"ED and ES are the same phase ({self.ed}); set them apart with --ed and --es.")
        object.__setattr__(self, "area_mm2", _frozen(self.area_mm2, np.float64, (None,), "area_mm2"))


@dataclass(frozen=True, eq=False)
class LVSegmentation:
    """Soft masks of the heart at ED and ES in cine geometry, and the RV insertion points.

    ed, es         (S, 4, R, C) float32 probabilities: background, RV, LV myocardium, LV cavity
    rv_insertions  (S, 2, 2) float64 (row, column) at ED of the anterior and inferior RV
                   insertion; NaN where a slice has none of its own
    """

    ed: np.ndarray
    es: np.ndarray
    rv_insertions: np.ndarray

    def __post_init__(self):
        ed = _frozen(self.ed, np.float32, (None, 4, None, None), "LVSegmentation.ed")
        object.__setattr__(self, "ed", ed)
        object.__setattr__(self, "es", _frozen(self.es, np.float32, ed.shape, "LVSegmentation.es"))
        points = _frozen(self.rv_insertions, np.float64, (ed.shape[0], 2, 2), "rv_insertions")
        object.__setattr__(self, "rv_insertions", points)

    @property
    def labels_ed(self) -> np.ndarray:
        """(S, R, C) uint8 labels at ED."""
        return self.ed.argmax(axis=1).astype(np.uint8)

    @property
    def labels_es(self) -> np.ndarray:
        """(S, R, C) uint8 labels at ES."""
        return self.es.argmax(axis=1).astype(np.uint8)


@dataclass(frozen=True)
class SliceReport:
    """What was made of one cine slice. `level` is basal, mid, apical or None outside the LV.

    quality  0 to 1, how likely the contours are right (`anatomy.score`); None without an LV
    """

    index: int
    level: str | None
    valid: bool
    flags: tuple[str, ...] = ()
    quality: float | None = None


@dataclass(frozen=True, eq=False)
class Synthesis:
    """The synthetic T1 map of one study, back in cine geometry.

    cine           the Cine it was made from
    t1_ms          (S, R, C) float32 ms: mean of the K samples; 0 = no value
    sd_ms          (S, R, C) float32 ms: the SD that the model has learned of it, or that of the samples
    valid          (S, R, C) uint8, 1 where the map has a value
    samples_ms     (K, S, R, C) float32 ms, 0 where not valid
    aha            (S, R, C) uint8 AHA segment 1…16 inside the trimmed ED myocardium, else 0
    native_ms      None, or (S, R, C) float32 ms: a native map aligned to the cine (0 = none)
    native_aha     None, or (S, R, C) uint8 AHA segments under the native map's own contours, trimmed
    provenance     model, weights_sha256, trained_on, segmenter (name, weights_sha256, trained_on), seed,
                   sampler, steps, samples, device, versions, notices, notes
    """

    cine: Cine
    phases: CardiacPhases
    segmentation: LVSegmentation
    slices: tuple[SliceReport, ...]
    t1_ms: np.ndarray
    sd_ms: np.ndarray
    valid: np.ndarray
    samples_ms: np.ndarray
    aha: np.ndarray
    provenance: dict
    native_ms: np.ndarray | None = None
    native_aha: np.ndarray | None = None

    def __post_init__(self):
        s, _, r, c = self.cine.images.shape
        for name, dtype in (
            ("t1_ms", np.float32),
            ("sd_ms", np.float32),
            ("valid", np.uint8),
            ("aha", np.uint8),
        ):
            object.__setattr__(
                self, name, _frozen(getattr(self, name), dtype, (s, r, c), f"Synthesis.{name}")
            )
        samples = _frozen(self.samples_ms, np.float32, (None, s, r, c), "Synthesis.samples_ms")
        object.__setattr__(self, "samples_ms", samples)
        if self.native_ms is not None:
            native = _frozen(self.native_ms, np.float32, (s, r, c), "Synthesis.native_ms")
            object.__setattr__(self, "native_ms", native)
            if self.native_aha is None:
                raise StudyError("a native map comes with the AHA segments of its own contours.")
            native_aha = _frozen(self.native_aha, np.uint8, (s, r, c), "Synthesis.native_aha")
            object.__setattr__(self, "native_aha", native_aha)
        if len(self.slices) != s:
            raise StudyError(f"{len(self.slices)} slice reports for {s} slices.")
        if not all(np.isfinite(a).all() for a in (self.t1_ms, self.sd_ms, samples)):
            raise StudyError("the synthesised map holds NaN; the model folder is damaged.")
