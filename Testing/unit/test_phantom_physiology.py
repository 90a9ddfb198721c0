"""The physiological distribution of digital hearts against published values.

Parameters and integrals only, nothing is rendered. Reference values: LV volumes, mass and wall of
healthy adults (Kawel-Boehm et al., JCMR 2015/2020), thickening (ibid. and tagging literature), STEMI
function and infarct size and T1 (Layland 2017, Granitz 2018), T1 at 3 T (McDiarmid 2015, MyoMapNet).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from T1DiffLogic.phantom.draws import SEEDS, patient_seed
from T1DiffLogic.phantom.hearts import (
    GLOBAL_HYPOKINESIA,
    HEALTHY,
    INFARCT,
    STUNNED,
    Hearts,
    sample_hearts,
)
from T1DiffLogic.phantom.motion import (
    activation,
    build_ventricles,
    end_diastolic_radii,
    lesion_extent,
    motion_multiplier,
    wrapped,
)
from T1DiffLogic.phantom.signal import bssfp, molli_apparent, true_t1

N = 300
FIRST = SEEDS["test"][0]


@dataclass(frozen=True)
class Cohort:
    """Hearts with their parametric volumes (ml), EF (%) and mass (g), all numpy (N,)."""

    hearts: Hearts
    edv: np.ndarray
    esv: np.ndarray
    mass: np.ndarray

    @property
    def ef(self):
        return 100 * (1 - self.esv / self.edv)

    def of(self, condition):
        return self.hearts.condition.numpy() == condition


def make_cohort(**options) -> Cohort:
    hearts = sample_hearts(range(FIRST, FIRST + N), **options)
    ventricles = build_ventricles(hearts)
    edv, muscle = ventricles.volumes_ml(0.0)
    esv, _ = ventricles.volumes_ml(1.0)
    return Cohort(hearts, edv.numpy(), esv.numpy(), 1.05 * muscle.numpy())


@pytest.fixture(scope="module")
def healthy():
    return make_cohort(infarcted=False)


@pytest.fixture(scope="module")
def mixed():
    return make_cohort()


@pytest.fixture(scope="module")
def infarcted():
    return make_cohort(infarcted=True)


def grid(levels: int, angles: int, hearts: Hearts):
    """Level and material angle over the wall, both (N, levels, angles)."""
    u = ((torch.arange(levels) + 0.5) / levels)[None, :, None]
    angle = (torch.arange(angles) * (360.0 / angles))[None, None]
    shape = (len(hearts), levels, angles)
    return u.expand(shape), angle.expand(shape)


# --- size and function -----------------------------------------------------------------------------

PUBLISHED = {  # healthy men, women: mean, SD; last how far, in SD, the cohort's mean may lie away
    "edv": ((160, 27), (132, 23), 0.35),
    "esv": ((54, 14), (44, 11), 0.35),
    "ef": ((67, 5), (67, 5), 0.35),
    "mass": ((134, 21), (98, 21), 0.6),
}


@pytest.mark.parametrize("quantity", PUBLISHED)
@pytest.mark.parametrize("female", [False, True])
def test_healthy_volumes_mass_and_ejection_fraction(healthy, quantity, female):
    mean, sd = PUBLISHED[quantity][female]
    values = getattr(healthy, quantity)[(healthy.hearts.female.numpy() > 0) == female]
    assert len(values) > 80
    assert abs(values.mean() - mean) < PUBLISHED[quantity][2] * sd
    assert 0.65 * sd < values.std(ddof=1) < 1.25 * sd
    assert (np.abs(values - mean) < 4 * sd).all()


def test_women_have_smaller_and_lighter_hearts(healthy):
    female = healthy.hearts.female.numpy() > 0
    for values in (healthy.edv, healthy.esv, healthy.mass):
        assert values[female].mean() < 0.93 * values[~female].mean()


def test_volumes_are_those_of_an_independent_integration(healthy):
    """EDV by summing discs of ED contours, EF as the targets say: no lesion disturbs a healthy heart."""
    hearts = healthy.hearts
    u, angle = grid(300, 60, hearts)
    endo, _ = end_diastolic_radii(hearts, u, angle)
    length = build_ventricles(hearts).length.numpy()
    edv = (endo.double().square().mean((1, 2)) * np.pi).numpy() * length / 1000
    np.testing.assert_allclose(healthy.edv, edv, rtol=0.01)
    np.testing.assert_allclose(healthy.ef, 100 * hearts.ef_target.numpy(), atol=0.7)
    # the target is met exactly unless LV length would leave 60 … 122 mm
    free = (length > 60) & (length < 122)
    assert free.mean() > 0.85
    np.testing.assert_allclose(edv[free], hearts.edv_target_ml.numpy()[free], rtol=0.01)


def wall_thickness(hearts, level):
    """Mean ED wall and its thickening at ES (mm) at a level, each (N,)."""
    ventricles = build_ventricles(hearts)
    _, angle = grid(1, 48, hearts)
    u = torch.full_like(angle, level)
    endo, epi = end_diastolic_radii(hearts, u, angle)
    systole = torch.ones_like(u)
    z = u * ventricles.length[:, None, None] * ventricles.stretch(systole)
    inner, outer, seen, _ = ventricles.radii(z, angle, systole)
    torch.testing.assert_close(seen, u, atol=1e-4, rtol=0)
    wall = (epi - endo).mean((1, 2))
    return wall.numpy(), (outer - inner).mean((1, 2)).numpy() - wall.numpy()


@pytest.mark.parametrize(("female", "mean", "sd"), [(False, 6.3, 1.1), (True, 5.3, 0.9)])
def test_mid_wall_thickness(healthy, female, mean, sd):
    """Within 0.8 SD: with this shape a wall of 6.3 mm would make a man's LV lighter than published."""
    wall, _ = wall_thickness(healthy.hearts, 0.5)
    wall = wall[(healthy.hearts.female.numpy() > 0) == female]
    assert abs(wall.mean() - mean) < 0.8 * sd
    assert 0.6 * sd < wall.std(ddof=1) < 1.25 * sd


@pytest.mark.parametrize(("level", "published_mm"), [(0.8, 4.3), (0.5, 4.4), (0.2, 3.2)])
def test_wall_thickening(healthy, level, published_mm):
    wall, thickening = wall_thickness(healthy.hearts, level)
    assert abs(thickening.mean() - published_mm) < 0.7  # half of the published SD of 1.4 mm
    assert 0.40 < (thickening / wall).mean() < 0.85
    assert thickening.min() > 1.5


@pytest.mark.parametrize("wide", [False, True])
def test_myocardium_is_incompressible_through_the_beat(wide):
    hearts = sample_hearts(range(FIRST, FIRST + 100), wide=wide)
    ventricles = build_ventricles(hearts)
    _, rest = ventricles.volumes_ml(0.0)
    for s in (0.25, 0.5, 0.75, 1.0):
        cavity, muscle = ventricles.volumes_ml(s)
        torch.testing.assert_close(muscle, rest, rtol=0.02, atol=0)
        assert (cavity > 0).all()


def test_apex_turns_counter_clockwise_and_base_clockwise_seen_from_the_apex(healthy):
    """LV twist of about 12° at ES: the tissue now at angle 100° came from `material`."""
    ventricles = build_ventricles(healthy.hearts)
    angle = torch.full((N, 1), 100.0)
    turned = {}
    for level in (0.1, 0.95):
        for s in (0.0, 1.0):
            activity = torch.full((N, 1), s)
            z = level * ventricles.length[:, None] * ventricles.stretch(activity)
            _, _, _, material = ventricles.radii(z, angle, activity)
            turned[level, s] = (angle - material).numpy()
    assert not turned[0.1, 0.0].any() and not turned[0.95, 0.0].any()
    assert turned[0.1, 1.0].mean() > 3 and turned[0.95, 1.0].mean() < -1
    assert 7 < (turned[0.1, 1.0] - turned[0.95, 1.0]).mean() < 14


def test_beat_starts_near_end_diastole_and_has_systole_filling_and_atrial_kick(healthy):
    hearts = healthy.hearts
    time = (torch.arange(100) / 100).expand(N, 100)
    s = activation(hearts, time)
    assert s.min() >= 0 and s.max() <= 1 and s.amax(1).min() > 0.995 and s.amin(1).max() < 0.01
    es = s.argmax(1).float() / 100
    assert es.min() > 0.30 and es.max() < 0.46  # systole takes about a third of the beat
    assert s[:, 0].max() < 0.03
    after = s[:, 75]
    assert after.min() > 0.04 and after.max() < 0.5  # diastasis: filled for the most part
    assert (s[:, 97] < after).all()  # the atrial kick fills the rest


# --- disease ---------------------------------------------------------------------------------------


def test_conditions_and_territories_have_their_shares():
    hearts = sample_hearts(range(FIRST, FIRST + 1500))
    counts = np.bincount(hearts.condition.numpy(), minlength=4) / 1500
    for condition, share in ((INFARCT, 0.70), (STUNNED, 0.12), (GLOBAL_HYPOKINESIA, 0.06), (HEALTHY, 0.12)):
        assert abs(counts[condition] - share) < 0.035
    centres = torch.tensor([[115.0], [245.0], [335.0]])
    nearest = wrapped(hearts.lesions[0].angle - centres).abs().argmin(0)
    lad, rca, lcx = np.bincount(nearest.numpy(), minlength=3) / 1500
    assert abs(lad - 0.45) < 0.05 and abs(rca - 0.40) < 0.05 and abs(lcx - 0.15) < 0.05


def test_only_infarcts_scar(mixed):
    scar = mixed.hearts.lesions[0].scar.numpy()
    np.testing.assert_array_equal(scar > 0, mixed.of(INFARCT))
    for lesion in mixed.hearts.lesions:
        assert (lesion.scar.numpy() <= mixed.of(INFARCT)).all()
        assert (lesion.mvo <= lesion.scar).all()
    forced = sample_hearts(range(FIRST, FIRST + 50), infarcted=False)
    assert not any(lesion.scar.any() for lesion in forced.lesions)


def test_ejection_fraction_falls_with_disease(mixed, infarcted):
    ef = {c: mixed.ef[mixed.of(c)].mean() for c in (HEALTHY, INFARCT, STUNNED, GLOBAL_HYPOKINESIA)}
    assert ef[HEALTHY] - ef[INFARCT] > 8
    assert ef[HEALTHY] - ef[STUNNED] > 3
    assert ef[HEALTHY] - ef[GLOBAL_HYPOKINESIA] > 18
    # STEMI 45 ± 8 %
    assert abs(infarcted.ef.mean() - 45) < 8 and infarcted.ef.min() > 25


def infarct_sizes(hearts):
    """(core, core and oedema) in % of LV mass, by integration over level, angle and depth, each (N,)."""
    u, angle = grid(28, 40, hearts)
    endo, epi = (r[..., None] for r in end_diastolic_radii(hearts, u, angle))
    depth = (torch.arange(12) + 0.5) / 12
    volume = (endo + (epi - endo) * depth) * (epi - endo)
    core, injured = torch.zeros_like(volume), torch.zeros_like(volume)
    for lesion in hearts.lesions:
        reach, scar = lesion.transmurality[:, None, None, None], lesion.scar[:, None, None, None]
        inner = lesion_extent(lesion, u, angle)[..., None] * (depth < reach) * scar
        outer = lesion_extent(lesion, u, angle, 1.22)[..., None] * (depth < reach + 0.3) * scar
        core, injured = torch.maximum(core, inner), torch.maximum(injured, outer)
    return tuple((100 * (x * volume).sum((1, 2, 3)) / volume.sum((1, 2, 3))).numpy() for x in (core, injured))


def test_infarct_size(infarcted):
    """Published means are 12 % to 19 % of LV mass; here the core is smaller than that and the core
    with its oedema larger, single hearts cover the published range."""
    core, injured = infarct_sizes(infarcted.hearts)
    assert 8 < core.mean() < 30 and core.std() > 3.5
    assert 15 < injured.mean() < 35 and (injured > core).all()
    assert 1.5 < core.min() and core.max() < 45
    anterior = (wrapped(infarcted.hearts.lesions[0].angle - 115).abs() < 60).numpy()
    assert core[anterior].mean() > 1.1 * core[~anterior].mean()  # LAD infarcts are the larger ones


def test_microvascular_obstruction_is_common_and_needs_a_deep_infarct(infarcted):
    lesion = infarcted.hearts.lesions[0]
    assert 0.35 < lesion.mvo.mean() < 0.65  # published 58 %
    assert (lesion.transmurality[lesion.mvo > 0] > 0.4).all()


def test_motion_is_evidence_of_scar_and_never_the_label(mixed):
    """Infarcts keep 0 to 0.6 of their motion as a rule; some move well, some hearts fail without scar."""
    hearts, scarred, stunned = mixed.hearts, mixed.of(INFARCT), mixed.of(STUNNED)
    u, angle = grid(24, 36, hearts)
    share = motion_multiplier(hearts, u, angle)
    in_lesion = lesion_extent(hearts.lesions[0], u, angle) > 0.9
    seen = ((share * in_lesion).sum((1, 2)) / in_lesion.sum((1, 2)).clamp_min(1)).numpy()
    measured = in_lesion.sum((1, 2)).numpy() > 0
    infarct, stun = seen[scarred & measured], seen[stunned & measured]
    assert 0.80 < (infarct <= 0.65).mean() < 0.97
    assert (infarct > 0.7).sum() >= 5  # scar that moves
    assert (stun < 0.6).sum() >= 10  # no scar, does not move
    depth = hearts.lesions[0].transmurality.numpy()[scarred & measured]
    assert -0.75 < np.corrcoef(infarct, depth)[0, 1] < -0.2  # related, loosely
    unharmed = mixed.of(HEALTHY) | mixed.of(GLOBAL_HYPOKINESIA)
    np.testing.assert_allclose(share[unharmed], 1, atol=1e-6)
    border = hearts.lesions[0].border_motion.numpy()[scarred | stunned]
    core = hearts.lesions[0].core_motion.numpy()[scarred | stunned]
    assert border.min() >= 0.5 and (border >= core).all()


# --- tissue ----------------------------------------------------------------------------------------

T1_PRIORS = {  # what MOLLI 5(3)3 shows at 3 T, ms
    "myocardium": (1205, 45),
    "oedema": (1300, 55),
    "core": (1430, 80),
    "mvo": (1220, 60),
    "blood": (1830, 60),
}


@pytest.mark.parametrize("tissue", T1_PRIORS)
def test_apparent_t1_follows_its_prior_through_the_molli_simulation(mixed, tissue):
    """Not the table but what a simulated MOLLI and its fit make of the tissue's true T1."""
    mean, sd = T1_PRIORS[tissue]
    record = mixed.hearts.tissues[tissue]
    shown = molli_apparent(true_t1(record), record.t2_ms).numpy()
    np.testing.assert_allclose(shown, record.t1_ms.numpy(), atol=2)
    assert abs(shown.mean() - mean) < 0.15 * sd
    assert 0.75 * sd < shown.std(ddof=1) < 1.3 * sd


def test_women_have_slightly_longer_t1():
    """+10 to +25 ms in the literature; the between-person SD of 43 ms needs many draws to see it."""
    hearts = sample_hearts(range(FIRST, FIRST + 3000))
    t1, female = hearts.tissues["myocardium"].t1_ms, hearts.female > 0
    assert 5 < (t1[female].mean() - t1[~female].mean()).item() < 25


def test_t1_and_t2_go_together_within_people(mixed):
    myocardium = mixed.hearts.tissues["myocardium"]
    assert 0.3 < np.corrcoef(myocardium.t1_ms, myocardium.t2_ms)[0, 1] < 0.9
    assert abs(myocardium.t2_ms.mean() - 46) < 0.6
    for tissue, t2 in (("oedema", 57), ("core", 60), ("mvo", 48)):
        assert abs(mixed.hearts.tissues[tissue].t2_ms.mean() - t2) < 0.6


@pytest.mark.parametrize("heart_rate", [55.0, 75.0, 95.0])
def test_molli_underestimates_myocardial_t1_by_the_known_share(mixed, heart_rate):
    for tissue in ("myocardium", "oedema", "core", "mvo"):
        record = mixed.hearts.tissues[tissue]
        true = true_t1(record)
        ratio = molli_apparent(true, record.t2_ms, heart_rate) / true
        assert 0.84 < ratio.mean() < 0.88
        assert ratio.min() > 0.82 and ratio.max() < 0.90


def test_true_t1_tables_are_not_divided_by_the_molli_ratio(mixed):
    tissues = mixed.hearts.tissues
    for tissue, mean, sd in (("liver", 809, 71), ("fat", 382, 13), ("spleen", 1328, 31)):
        torch.testing.assert_close(true_t1(tissues[tissue]), tissues[tissue].t1_ms)
        assert abs(tissues[tissue].t1_ms.mean() - mean) < 0.25 * sd


CONTRAST = {  # S/S(myocardium) at TR 3.0, TE 1.5 ms, 45°: equal proton density … PD of the injury up 5 %
    "oedema": (1.12, 1.18),
    "core": (1.08, 1.15),
    "mvo": (1.03, 1.08),
    "blood": (1.7, 2.9),
}


@pytest.mark.parametrize("tissue", CONTRAST)
def test_static_cine_contrast(mixed, tissue):
    """Acute injury is only a little brighter than remote myocardium: motion has to carry the signal."""
    tissues = mixed.hearts.tissues
    reference = bssfp(tissues["myocardium"], true_t1(tissues["myocardium"]), 45.0)
    ratio = bssfp(tissues[tissue], true_t1(tissues[tissue]), 45.0) / reference
    low, high = CONTRAST[tissue]
    assert low - 0.005 < ratio.mean() < high + 0.005


def test_fat_is_the_brightest_and_lung_the_darkest_in_cine(mixed):
    tissues = mixed.hearts.tissues
    signal = {name: bssfp(t, true_t1(t), 45.0) for name, t in tissues.items()}
    per_density = {n: (signal[n] / tissues[n].density) for n in tissues}
    fat = (per_density["fat"] / per_density["myocardium"]).mean()
    assert 2.8 < fat < 3.3
    assert (signal["fat"] > signal["blood"]).float().mean() > 0.97
    assert 0.10 < (signal["lung"] / signal["myocardium"]).mean() < 0.22
    assert 0.9 < (signal["liver"] / signal["myocardium"]).mean() < 1.4


# --- seeds -----------------------------------------------------------------------------------------


def test_seed_ranges_are_disjoint_and_guarded():
    for (a, first), (b, second) in itertools.combinations(SEEDS.items(), 2):
        assert first[-1] < second[0] or second[-1] < first[0], (a, b)
    assert patient_seed("test", 0) == SEEDS["test"][0]
    for index in (-1, len(SEEDS["validation"])):
        with pytest.raises(ValueError, match="validation"):
            patient_seed("validation", index)
    with pytest.raises(KeyError):
        patient_seed("holdout", 0)


def test_a_seed_is_a_heart_whatever_stands_beside_it():
    alone = sample_hearts([FIRST + 7])
    beside = sample_hearts([FIRST + 3, FIRST + 7, FIRST + 9])
    other = sample_hearts([FIRST + 8])
    for name in ("wall", "cavity_radius", "twist", "heart_rate"):
        assert getattr(alone, name)[0] == getattr(beside, name)[1] != getattr(other, name)[0]
    assert alone.lesions[0].angle[0] == beside.lesions[0].angle[1]
    assert alone.tissues["core"].t1_ms[0] == beside.tissues["core"].t1_ms[1]


def test_training_distribution_surrounds_the_physiological_one(mixed):
    wide = make_cohort(wide=True)
    for quantity in ("edv", "ef", "mass"):
        a, b = getattr(wide, quantity), getattr(mixed, quantity)
        assert np.percentile(a, 3) < np.percentile(b, 3) and np.percentile(a, 97) > np.percentile(b, 97)
    assert wide.hearts.wall.max() > 12 and wide.hearts.wall.min() < 4.8
    assert wide.edv.min() > 25 and wide.edv.max() < 500
