"""Synthetic signers: keypoints lie where the drawing is, depth decides what covers what, seeds decide all."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from signgen.poses.skeletons import COCO_WHOLEBODY_133 as LAYOUT
from signgen.synthetic import Identity, Motion, Observation, SyntheticClip, Take, render_clip, render_takes
from signgen.synthetic.lexicon import HAND_CHANNELS, HANDSHAPES, REST_HAND, lexicon
from signgen.synthetic.materials import background
from signgen.synthetic.motion import CHANNELS, FACE, HEAD
from signgen.synthetic.skeleton import pose, reach

FINGERTIPS = [first + tip for first in (91, 112) for tip in (4, 8, 12, 16, 20)]
EYES, INNER_MOUTH, NOSE = range(59, 71), range(83, 91), 0


def signer(seed: int = 2, **changes: object) -> Identity:
    """Light skin and dark clothes on grey, so that colours tell parts apart."""
    plain = {"skin": (225.0, 175.0, 150.0), "cloth": (40.0, 44.0, 60.0), "lips": (170.0, 80.0, 80.0), "beard": 0.0}
    grey = ((150.0, 155.0, 160.0),) * 3
    fixed = {"stripe": None, "hair": (32.0, 32.0, 36.0), "hair_style": "crop", "hairline": -0.25, "backdrop": grey}
    return replace(Identity.random(seed), **(plain | fixed | {"ledge": False, "centre": (0.6, 0.51)} | changes))


def hand(x: float, y: float, z: float, shape: str = "flat", angles: tuple[float, ...] = (70, 20, 0)) -> np.ndarray:
    return np.array([x, y, z, *angles, *HANDSHAPES[shape]])


def still(right: np.ndarray = REST_HAND, left: np.ndarray = REST_HAND, frames: int = 1) -> Motion:
    """Nothing moves; a neutral face."""
    values = np.zeros((frames, CHANNELS))
    values[:, :HAND_CHANNELS], values[:, HAND_CHANNELS : 2 * HAND_CHANNELS] = right, left
    return Motion("still", 0, values)


def exact(identity: Identity, motion: Motion, **options: object) -> SyntheticClip:
    return render_clip(identity, motion, observation=Observation(0, 0), **options)


def is_skin(colours: np.ndarray) -> np.ndarray:
    """Redder than it is blue, as neither the clothes nor the backdrop of `signer` are."""
    colours = colours.astype(float)
    return colours[..., 0] > 1.15 * colours[..., 2]


def at(clip: SyntheticClip, frame: int, point: int) -> np.ndarray:
    x, y = np.rint(clip.poses.keypoints[frame, point, :2]).astype(int)
    return clip.frames[frame, y, x]


@pytest.fixture(scope="module")
def clip() -> SyntheticClip:
    return render_clip(signer(), Motion.random(5, 110)[20:70])


def test_shapes_rates_and_skeleton(clip: SyntheticClip) -> None:
    assert clip.frames.shape == (50, 260, 210, 3)
    assert clip.frames.dtype == np.uint8
    assert clip.poses.keypoints.shape == clip.observed.keypoints.shape == (50, 133, 3)
    assert (clip.poses.width, clip.poses.height, clip.poses.fps) == (210, 260, 25)
    assert clip.poses.present.all()
    assert set(clip.glosses) <= {sign.word for sign in lexicon()}


def test_the_same_seeds_give_the_same_bytes_in_any_process() -> None:
    takes = [Take(f"take{seed}", Identity.random(seed), Motion.random(seed, 6)) for seed in (1, 2)]
    here, there = list(render_takes(takes)), list(render_takes(takes, processes=2))
    for one, other in zip(here, there, strict=True):
        assert one.name == other.name
        assert np.array_equal(one.frames, other.frames)
        assert np.array_equal(one.poses.keypoints, other.poses.keypoints)
        assert np.array_equal(one.observed.keypoints, other.observed.keypoints, equal_nan=True)
    assert not np.array_equal(here[0].frames, here[1].frames)


def test_visible_fingertips_lie_on_skin_and_covered_ones_are_marked(clip: SyntheticClip) -> None:
    places = [(t, p) for t in range(len(clip.frames)) for p in FINGERTIPS if clip.visible[t, p]]
    assert len(places) > 100
    assert np.mean([is_skin(at(clip, t, p)) for t, p in places]) > 0.97


@pytest.mark.parametrize("shape", sorted(HANDSHAPES))
def test_every_handshape_is_drawn_where_its_points_are(shape: str) -> None:
    clip = exact(signer(centre=(0.68, 0.51)), still(hand(0.9, 0.3, 0.6, shape, (80, 0, 0))))
    points = clip.poses.keypoints[0, 112:, :2]
    drawn = is_skin(clip.frames[0])[:, :110]  # without face and neck
    ys, xs = np.nonzero(drawn)
    assert abs(xs.min() - points[:, 0].min()) < 6
    assert abs(ys.min() - points[:, 1].min()) < 6
    tips = np.rint(points[[4, 8, 12, 16, 20]]).astype(int)
    assert drawn[tips[:, 1], tips[:, 0]].all()


def test_joints_lie_on_the_person_and_not_on_the_backdrop(clip: SyntheticClip) -> None:
    empty = background(signer(), 210, 260)
    for frame in range(0, 50, 7):
        for point in (0, 1, 2, 5, 6, 7, 8, 91, 112):
            if clip.poses.keypoints[frame, point, 2] == 1:
                x, y = np.rint(clip.poses.keypoints[frame, point, :2]).astype(int)
                assert np.abs(clip.frames[frame, y, x] - empty[y, x]).max() > 12, (frame, point)


def test_the_signers_left_is_on_the_pictures_right() -> None:
    points = exact(signer(), still()).poses.keypoints[0]
    pairs = [(1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (91, 112), (68, 59)]
    assert all(points[left, 0] > points[right, 0] for left, right in pairs)


def test_the_face_moves_where_its_points_are() -> None:
    motion = still(frames=4)
    motion.values[1, FACE] = (0, 0, 1, 0, 0, 0, 0, 0)  # eyes shut
    motion.values[2, FACE] = (0, 0, 0, 0, 0, 1, 0, 0)  # mouth open
    motion.values[3, FACE] = (1.5, 0, 0, 0, 0, 0, 0, 0)  # brows raised
    plain, shut, opened, raised = (exact(signer(), replace(motion, values=motion.values[[i]])) for i in range(4))
    chin = list(range(27, 36))  # goes down with an opening mouth
    for changed, part in ((shut, list(EYES)), (opened, [*INNER_MOUTH, *chin]), (raised, list(range(40, 50)))):
        before, after = plain.poses.keypoints[0], changed.poses.keypoints[0]
        assert np.abs(after[part, :2] - before[part, :2]).max() > 1
        moved = np.abs(plain.frames[0].astype(int) - changed.frames[0]).max(-1) > 20
        ys, xs = np.nonzero(moved)
        both = np.concatenate([before[part, :2], after[part, :2]])
        low, high = both.min(0) - 8, both.max(0) + 8
        assert len(xs)
        inside = (xs > low[0]) & (xs < high[0]) & (ys > low[1]) & (ys < high[1])
        assert inside.mean() > 0.95
    assert plain.poses.keypoints[0, 66 + 23, 1] < opened.poses.keypoints[0, 66 + 23, 1]
    middle = opened.poses.keypoints[0, list(INNER_MOUTH), :2].mean(0).round().astype(int)
    assert opened.frames[0, middle[1], middle[0]].sum() < 0.5 * at(opened, 0, NOSE).sum()


def test_a_turned_head_moves_the_nose_before_the_ears() -> None:
    motion = still(frames=2)
    motion.values[1, HEAD] = (25, 0, 0)
    ahead, turned = exact(signer(), motion).poses.keypoints
    assert turned[NOSE, 0] - ahead[NOSE, 0] > 8
    assert turned[3, 0] < ahead[3, 0]
    assert abs(turned[NOSE, 1] - ahead[NOSE, 1]) < 1


def test_any_identity_performs_any_motion_with_its_own_proportions() -> None:
    motion = Motion.random(3, 90)[30:34]
    one = signer()
    points = exact(one, motion).poses.keypoints
    other = exact(replace(one, size=0.8 * one.size, centre=(0.45, 0.55)), motion).poses.keypoints
    assert np.abs(in_shoulders(points) - in_shoulders(other)).max() < 1e-3
    for seed in (4, 5, 6):
        stranger = in_shoulders(exact(Identity.random(seed), motion).poses.keypoints)
        gaps = np.linalg.norm(stranger - in_shoulders(points), axis=-1)
        assert gaps[:, [9, 10]].max() < 0.12
        assert 1e-3 < gaps[:, :11].max() < 0.3


def in_shoulders(keypoints: np.ndarray) -> np.ndarray:
    """(T, 133, 2) from the middle of the shoulders, in shoulder widths."""
    left, right = keypoints[:, 5, None, :2], keypoints[:, 6, None, :2]
    return (keypoints[..., :2] - (left + right) / 2) / np.linalg.norm(left - right, axis=-1, keepdims=True)


def test_no_arm_is_longer_than_its_bones() -> None:
    rng = np.random.default_rng(0)
    identity = signer()
    shoulders = rng.normal(0, 0.1, (500, 2, 3))
    targets = rng.normal(0, 1.5, (500, 2, 3))
    targets[0] = shoulders[0]
    elbows, wrists = reach(identity, shoulders, targets, np.tile([1.0, 0, 0], (500, 1)))
    assert np.allclose(np.linalg.norm(elbows - shoulders, axis=-1), identity.upper_arm)
    assert np.allclose(np.linalg.norm(wrists - elbows, axis=-1), identity.forearm)
    asked, got = np.linalg.norm(targets - shoulders, axis=-1), np.linalg.norm(wrists - shoulders, axis=-1)
    within = (asked > 0.5 * identity.upper_arm) & (asked < 0.98 * (identity.upper_arm + identity.forearm))
    assert within.sum() > 100
    assert np.allclose(wrists[within], targets[within])
    assert np.isfinite(got).all()


def test_bones_of_hands_keep_their_length() -> None:
    hands = pose(signer(), Motion.random(8, 80).values).hands
    for a, b in ((0, 5), (5, 6), (7, 8), (13, 14), (1, 2), (3, 4)):
        lengths = np.linalg.norm(hands[:, :, a] - hands[:, :, b], axis=-1)
        assert np.ptp(lengths) < 1e-6


@pytest.mark.parametrize("nearer", ["right", "left"])
def test_the_hand_in_front_covers_the_one_behind(nearer: str) -> None:
    depths = (0.95, 0.45) if nearer == "right" else (0.45, 0.95)
    motion = still(*(hand(0.05, 0.4, depth, "five", (85, 0, 0)) for depth in depths))
    clip = exact(signer(), motion)
    left, right = clip.visible[0, 91:112].mean(), clip.visible[0, 112:133].mean()
    front, back = (right, left) if nearer == "right" else (left, right)
    assert front == 1
    assert back < 0.85


def test_a_hand_before_the_face_covers_it_and_one_behind_the_head_does_not() -> None:
    identity = signer(hand=0.62)
    mouth = (0.02, -0.10, 0.75), (0.02, -0.10, -0.55)
    bare = exact(identity, still(hand(0.9, 0.3, 0.4)))
    front, back = (exact(identity, still(hand(*place, angles=(85, 0, 0)))) for place in mouth)
    x, y = np.rint(bare.poses.keypoints[0, 62 + 23, :2]).astype(int)
    face = slice(y - 12, y + 5), slice(x - 8, x + 8)
    assert np.abs(front.frames[0][face].astype(int) - bare.frames[0][face]).mean() > 8
    assert np.abs(back.frames[0][face].astype(int) - bare.frames[0][face]).max() <= 2
    assert front.visible[0, 112:133].mean() > 0.9
    assert back.visible[0, 117:133].mean() < 0.3


def test_fingers_are_before_the_palm_when_they_bend_to_the_camera_and_behind_it_otherwise() -> None:
    to_camera, away = (exact(signer(), still(hand(0.4, 0.3, 0.6, "thumb", (85, turn, 0)))) for turn in (0, 180))
    joints = [112 + joint for joint in (7, 11, 15, 19)]
    assert to_camera.visible[0, joints].all()
    assert not away.visible[0, joints].any()


def test_a_fast_hand_is_blurred_and_a_held_one_is_not() -> None:
    place = hand(0.4, 0.3, 0.6, "five")
    values = still(frames=3).values
    values[:, :HAND_CHANNELS] = place
    held = exact(signer(), Motion("held", 0, values))
    values = values.copy()
    values[:, 0] += (-0.15, 0, 0.15)
    fast = exact(signer(), Motion("fast", 0, values))
    assert np.allclose(held.poses.keypoints[1, 112:133], fast.poses.keypoints[1, 112:133], atol=1e-3)
    x, y = held.poses.keypoints[1, 121, :2].astype(int)
    sharpness = [
        cv2.Laplacian(clip.frames[1][y - 25 : y + 25, x - 25 : x + 25].astype(float), cv2.CV_64F).var()
        for clip in (held, fast)
    ]
    assert sharpness[1] < 0.6 * sharpness[0]


@pytest.mark.parametrize("size", [(256, 256), (64, 80), (211, 261)])
def test_other_sizes(size: tuple[int, int]) -> None:
    identity, motion = signer(), Motion.random(1, 90)[40:42]
    clip = exact(identity, motion, size=size)
    assert clip.frames.shape == (2, size[1], size[0], 3)
    assert (
        np.abs(in_shoulders(clip.poses.keypoints) - in_shoulders(exact(identity, motion).poses.keypoints)).max() < 1e-3
    )
    assert is_skin(at(clip, 0, NOSE))


def test_legs_are_below_the_frame_and_uncertain(clip: SyntheticClip) -> None:
    legs = [*LAYOUT.legs, *LAYOUT.feet]
    assert (clip.poses.keypoints[:, legs, 1] > 260).all()
    assert (clip.poses.keypoints[:, legs, 2] > 0).all()
    assert (clip.poses.keypoints[:, legs, 2] < 0.3).all()
    inside = clip.poses.keypoints[:, list(LAYOUT.face), 2]
    assert (inside == 1).all()


def test_observed_points_jitter_about_the_exact_ones_and_hands_go_missing_in_runs() -> None:
    clip = render_clip(Identity.random(1), Motion.random(2, 90), observation=Observation(jitter=0.6, gaps=1))
    exact_xy, seen = clip.poses.keypoints[..., :2], clip.observed
    off = np.linalg.norm(seen.keypoints[..., :2] - exact_xy, axis=-1)
    assert 0.2 < np.nanmean(off[:, 91:]) < 2
    assert np.nanmean(off[:, list(LAYOUT.face)]) < np.nanmean(off[:, 91:])
    assert np.nanmax(off) < 8
    for part in (LAYOUT.left_hand, LAYOUT.right_hand):
        present = seen.present[:, list(part)]
        assert (present.all(1) | ~present.any(1)).all()
        missing = ~present.any(1)
        assert 0 < missing.sum() < 90
        assert missing.sum() / max(1, (np.diff(missing.astype(int)) == 1).sum()) > 2
        assert (seen.keypoints[missing][:, list(part), 2] == 0).all()
    assert seen.present[:, :91].all()
    assert (seen.keypoints[..., 2] <= clip.poses.keypoints[..., 2]).all()


def test_without_jitter_and_gaps_the_observed_places_are_the_exact_ones() -> None:
    clip = exact(signer(), Motion.random(4, 90)[40:50])
    assert np.array_equal(clip.observed.keypoints[..., :2], clip.poses.keypoints[..., :2])


def test_motion_rests_signs_holds_and_rests() -> None:
    speeds = []
    for seed in range(12):
        motion = Motion.random(seed, 120)
        points = pose(signer(), motion.values).wrists
        assert (points[[0, -1], :, 1] > 1.1).all()
        assert points[:, :, 1].min() < 0.7
        speeds.append(np.linalg.norm(np.diff(points, axis=0), axis=-1) * 86)
        assert len(motion.glosses) >= 1
    busy = np.concatenate(speeds).max(1)
    assert np.percentile(busy, 50) < 6
    assert np.percentile(busy, 90) < 11
    assert busy.max() < 20
    assert (busy > 6).mean() > 0.1
    assert (busy < 1.2).mean() > 0.1


def test_motion_is_smooth_and_words_are_signs() -> None:
    values = Motion.random(3, 200).values
    jerk = np.abs(np.diff(values[:, :3], n=3, axis=0)).max()
    assert jerk < 0.08
    assert len({sign.word for sign in lexicon()}) == len(lexicon())


@pytest.mark.parametrize("frames", [1, 2, 9])
def test_short_motions_are_cut_from_the_middle_of_signing(frames: int) -> None:
    motion = Motion.random(6, frames)
    assert len(motion) == frames
    clip = exact(signer(), motion)
    assert len(clip.frames) == len(clip.poses) == frames
    assert min(motion.values[:, 1].min(), motion.values[:, HAND_CHANNELS + 1].min()) < 1


def test_identities_differ() -> None:
    people = [Identity.random(seed) for seed in range(40)]
    assert len({person.hair_style for person in people}) == 6
    assert len({person.neckline for person in people}) == 3
    assert np.ptp([sum(person.skin) for person in people]) > 250
    assert people[3] == Identity.random(3)
    frames = [exact(person, still()).frames[0].astype(int) for person in people[:6]]
    gaps = [np.abs(a - b).mean() for i, a in enumerate(frames) for b in frames[:i]]
    assert min(gaps) > 5
