from functools import cache

import cv2
import numpy as np
import pytest

from training import degrade as dg
from training.degrade_light import to_linear, to_srgb
from training.degrade_shapes import (
    MAX_SHARE,
    MIN_SHARE,
    SHAPES,
    field_coordinates,
    random_support,
    round_support,
)

SIDE = 384


@cache
def retina(side: int = SIDE) -> tuple[np.ndarray, np.ndarray]:
    """A field of view with a bright disc and a net of dark vessels in all directions."""
    y, x = np.mgrid[:side, :side].astype(np.float32)
    visible = np.hypot(x - side / 2, y - side / 2) <= side * 0.49
    rgb = np.empty((side, side, 3), np.float32)
    rgb[:] = (190, 90, 50)
    rgb *= (1.1 - 0.4 * np.hypot(x - side / 2, y - side / 2) / side)[..., None]
    rng = np.random.default_rng(0)
    vessels = np.zeros((side, side), np.float32)
    for angle in np.linspace(0, 2 * np.pi, 40, endpoint=False):
        step = np.linspace(0, 0.7, 30)
        bend = angle + rng.uniform(-0.5, 0.5) * step * 4
        points = np.stack([side * (0.35 + step * np.cos(bend)), side * (0.5 + step * np.sin(bend))], 1)
        cv2.polylines(vessels, [np.rint(points).astype(np.int32)], False, 1.0, int(rng.integers(1, 4)))
    vessels = cv2.GaussianBlur(vessels, (0, 0), 0.7)
    rgb *= 1 - vessels[..., None] * np.array([0.1, 0.25, 0.2], np.float32)
    return np.where(visible[..., None], np.clip(rgb, 0, 255), 0).astype(np.uint8), visible


def severe(kind: str, *, local: bool, severity: float = 0.9, seed: int = 3) -> dg.Degraded:
    rgb, visible = retina()
    return dg.degrade(rgb, visible, kind, severity, np.random.default_rng(seed), local=local)


@pytest.mark.parametrize("local", [False, True])
@pytest.mark.parametrize("kind", dg.KINDS)
def test_degrade_any_kind_keeps_shape_range_and_what_is_outside(kind: str, local: bool) -> None:
    rgb, visible = retina()
    rgb = np.where(visible[..., None], rgb, 7).astype(np.uint8)  # a frame's border is not quite black
    out = dg.degrade(rgb, visible, kind, 0.8, np.random.default_rng(1), local=local)
    assert out.rgb.dtype == np.uint8
    assert out.rgb.shape == rgb.shape
    assert out.strength.dtype == np.float32
    assert out.strength.shape == visible.shape
    assert out.strength.min() >= 0
    assert out.strength.max() <= 1
    assert (out.strength[~visible] == 0).all()
    assert (out.rgb[~visible] == 7).all()
    assert (out.rgb[visible] != rgb[visible]).any()


@pytest.mark.parametrize("local", [False, True])
@pytest.mark.parametrize("kind", dg.KINDS)
def test_degrade_same_seed_is_the_same_and_another_is_not(kind: str, local: bool) -> None:
    first, again, other = (severe(kind, local=local, severity=0.5, seed=seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.rgb, again.rgb)
    np.testing.assert_array_equal(first.strength, again.strength)
    if local or kind != "defocus":  # a global defocus has nothing random in it
        assert (first.rgb != other.rgb).any()


@pytest.mark.parametrize("kind", dg.KINDS)
def test_degrade_rising_severity_hides_more(kind: str) -> None:
    _, visible = retina()
    means = [
        severe(kind, local=False, severity=severity).strength[visible].mean() for severity in (0.0, 0.5, 1.0)
    ]
    assert means[0] < means[1] < means[2]
    assert means[0] < 0.12  # hardly visible
    assert means[2] > 0.5  # most of it gone


@pytest.mark.parametrize("kind", dg.KINDS)
def test_degrade_strength_agrees_with_the_loss_measured_from_the_pictures(kind: str) -> None:
    # 0.2: the model assumes vessels of usual width and contrast; on real clean pictures it is 0.03 to 0.1.
    rgb, visible = retina()
    differences = []
    for severity in (0.2, 0.5, 0.8, 1.0):
        out = severe(kind, local=False, severity=severity)
        measured = dg.visibility_loss(rgb, out.rgb, visible)
        differences.append(abs(float(measured[visible].mean() - out.strength[visible].mean())))
    assert max(differences) < 0.2


@pytest.mark.parametrize("kind", dg.KINDS)
def test_degrade_local_measured_loss_is_where_the_map_says(kind: str) -> None:
    rgb, visible = retina()
    inside, outside = [], []
    for seed in range(6):
        out = severe(kind, local=True, severity=1.0, seed=seed)
        measured = dg.visibility_loss(rgb, out.rgb, visible)
        inside.extend(measured[visible & (out.strength > 0.8 * out.strength.max())].tolist())
        outside.extend(measured[visible & (out.strength < 0.02)].tolist())
    assert np.median(inside) > 0.4  # of noise, the weakest kind; all others are above 0.6
    assert np.median(outside) < 0.05


def test_degrade_defocus_leaves_a_constant_picture_as_it_is() -> None:
    visible = np.ones((SIDE, SIDE), bool)
    rgb = np.full((SIDE, SIDE, 3), (180, 90, 40), np.uint8)
    out = dg.degrade(rgb, visible, "defocus", 1.0, np.random.default_rng(0), local=False)
    np.testing.assert_array_equal(out.rgb, rgb)


def test_degrade_defocus_acts_on_linear_light() -> None:
    # A fine black-and-white grating averages to half the light, which is grey level 188 and not 128.
    visible = np.ones((SIDE, SIDE), bool)
    rgb = np.zeros((SIDE, SIDE, 3), np.uint8)
    rgb[:, ::2] = 255
    out = dg.degrade(rgb, visible, "defocus", 1.0, np.random.default_rng(0), local=False)
    middle = out.rgb[64:-64, 64:-64].astype(float)
    assert abs(middle.mean() - 188) < 2  # rounding, and what a disc leaves of the grating


def test_degrade_defocus_does_not_draw_the_dark_border_in() -> None:
    rgb, visible = retina()
    out = severe("defocus", local=False, severity=1.0)
    rim = visible & ~cv2.erode(visible.astype(np.uint8), np.ones((7, 7))).astype(bool)
    drop = rgb[rim].mean() - out.rgb[rim].mean()
    assert abs(drop) < 8  # the black outside would take about 40 grey levels at this radius


def test_degrade_under_exposed_darkens_and_glare_brightens() -> None:
    rgb, visible = retina()
    assert severe("under_exposed", local=False).rgb[visible].mean() < 0.4 * rgb[visible].mean()
    assert severe("glare", local=True).rgb[visible].mean() > rgb[visible].mean()


def test_degrade_over_exposed_clipped_pixels_count_as_lost() -> None:
    out = severe("over_exposed", local=False, severity=1.0)
    _, visible = retina()
    clipped = visible & (out.rgb[..., 1] >= 254)
    assert clipped.sum() > 100
    assert out.strength[clipped].mean() > 0.85


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "fog"}, "kind is 'fog', expected one of defocus, motion"),
        ({"severity": 1.2}, "severity is 1.2, expected 0 to 1"),
        ({"severity": float("nan")}, "severity is nan"),
        ({"rgb": np.zeros((SIDE, SIDE, 3), np.float32)}, "rgb is float32"),
        ({"rgb": np.zeros((SIDE, SIDE + 4, 3), np.uint8)}, "expected uint8"),
        ({"rgb": np.zeros((32, 32, 3), np.uint8)}, "at least 64"),
        ({"visible": np.ones((SIDE, SIDE), np.uint8)}, "visible is uint8"),
        ({"visible": np.zeros((SIDE, SIDE), bool)}, "no true pixel"),
        ({"support": np.ones((8, 8), np.float32)}, r"support has shape \(8, 8\) for kind .* \(96, 96\)"),
    ],
)
def test_degrade_wrong_argument_is_named(change: dict[str, object], message: str) -> None:
    rgb, visible = retina()
    arguments = {"rgb": rgb, "visible": visible, "kind": "haze", "severity": 0.5}
    with pytest.raises(ValueError, match=message):
        dg.degrade(**(arguments | change), rng=np.random.default_rng(0), local=False)  # type: ignore[arg-type]


@pytest.mark.parametrize("side", [64, 97, 384])
def test_degrade_other_sides_work(side: int) -> None:
    rgb, visible = retina(side)
    for kind in dg.KINDS:
        out = dg.degrade(rgb, visible, kind, 0.7, np.random.default_rng(0), local=True)
        assert out.strength.shape == (side, side)


def test_random_degradation_draws_every_kind_and_keeps_to_the_severities() -> None:
    rgb, visible = retina()
    rng = np.random.default_rng(0)
    drawn = [dg.random_degradation(rgb, visible, rng, severity=(0.4, 0.6)) for _ in range(80)]
    assert {each.kind for each in drawn} == set(dg.KINDS)
    assert all(0.4 <= each.severity <= 0.6 for each in drawn)


def test_random_support_covers_neither_nothing_nor_everything() -> None:
    _, visible = retina()
    _, _, share = field_coordinates(visible)
    rng = np.random.default_rng(0)
    covered, shapes = [], set()
    for _ in range(120):
        support, shape = random_support(visible, rng)
        covered.append(float((support * share).sum() / share.sum()))
        shapes.add(shape)
    assert shapes == set(SHAPES)
    assert np.mean([MIN_SHARE <= each <= MAX_SHARE for each in covered]) > 0.97  # the last draw counts


def test_light_round_trip_gives_every_grey_level_back() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(to_srgb(to_linear(levels)), levels)


def test_visibility_loss_same_picture_is_zero_and_flat_one_is_one() -> None:
    rgb, visible = retina()
    assert dg.visibility_loss(rgb, rgb, visible).max() < 1e-6
    flat = np.where(visible[..., None], 120, 0).astype(np.uint8).repeat(3, 2)[..., :3]
    assert np.median(dg.visibility_loss(rgb, flat, visible)[visible]) > 0.95


def test_visibility_loss_noise_does_not_pass_for_contrast() -> None:
    # Plain contrast after / before would be above 1 here: the noise has more of it than the vessels.
    rgb, visible = retina()
    noise = np.random.default_rng(0).normal(0, 60, rgb.shape)
    noisy = np.clip(rgb + noise, 0, 255).astype(np.uint8)
    assert np.median(dg.visibility_loss(rgb, noisy, visible)[visible]) > 0.5


def test_combined_strength_is_what_neither_leaves() -> None:
    half, most = np.float32([0.5]), np.float32([0.8])
    assert dg.combined_strength(half, most)[0] == pytest.approx(0.9, abs=1e-6)


def test_hidden_share_blur_hides_as_much_as_it_takes_and_a_veil_less() -> None:
    loss = np.float32([0.0, 0.5, 1.0])
    np.testing.assert_array_equal(dg.hidden_share(loss, "defocus"), loss)
    np.testing.assert_array_equal(dg.hidden_share(loss, "haze"), np.float32([0.0, 0.25, 1.0]))
    out = severe("haze", local=True)
    np.testing.assert_array_equal(out.hidden, out.strength**2)


def test_reasons_every_kind_has_one() -> None:
    assert set(dg.REASONS) == set(dg.KINDS)


def test_spot_is_as_small_as_the_macula_and_has_a_core() -> None:
    _, visible = retina()
    _, _, share = field_coordinates(visible)
    rng = np.random.default_rng(0)
    for _ in range(30):
        support, _ = random_support(visible, rng, shapes=("spot",))
        assert (support * share).sum() / share.sum() < 0.12
        assert support.max() > 0.9


def test_degrade_given_support_hides_anatomy_there_and_nowhere_else() -> None:
    rgb, visible = retina()
    support = round_support(SIDE, (150.0, 220.0), 40.0)
    rng = np.random.default_rng(0)
    out = dg.degrade(rgb, visible, "under_exposed", 1.0, rng, local=True, support=support)
    y, x = np.mgrid[:SIDE, :SIDE]
    distance = np.hypot(x - 150, y - 220)
    assert out.hidden[distance < 20].min() > 0.5
    assert out.hidden[distance > 64].max() == 0


@pytest.mark.parametrize(
    ("kind", "local"), [("haze", False), ("low_illumination_vignette", True)], ids=["all over", "own place"]
)
def test_degrade_support_that_would_be_ignored_is_refused(kind: str, local: bool) -> None:
    rgb, visible = retina()
    support = np.ones((SIDE // 4,) * 2, np.float32)
    with pytest.raises(ValueError, match=f"for kind '{kind}' and local={local}, expected"):
        dg.degrade(rgb, visible, kind, 0.5, np.random.default_rng(0), local=local, support=support)


def test_round_support_is_half_at_its_radius_and_lies_about_its_centre() -> None:
    support = round_support(SIDE, (102.0, 202.0), 40.0)
    assert support[50, 25] == 1  # pixel (102, 202) of the crop
    assert support[50, 35] == pytest.approx(0.5)  # 40 px to the right
    assert support[50, 45] == 0
