"""Retargeting: closed forms, robustness, and one synthetic signer driven by another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from signgen.errors import PoseError
from signgen.poses import PoseSequence, read_poses
from signgen.poses.retarget import measure, retarget, scales
from signgen.synthetic import Identity, Motion
from signgen.synthetic.skeleton import Camera, keypoints, pose
from tests.worlds import figure_poses

SIZE = (210, 260)
MISSING = (np.nan, np.nan, 0)
LEFT_HAND, RIGHT_HAND = slice(91, 112), slice(112, 133)


def performed(signer: int, motion: int, frames: int = 60) -> PoseSequence:
    """Exact keypoints of a synthetic signer; any signer performs any motion."""
    identity = Identity.random(signer)
    skeleton = pose(identity, Motion.random(motion, frames).values)
    return PoseSequence(keypoints(skeleton, Camera(*SIZE, identity)), *SIZE, 25.0)


def changed(poses: PoseSequence, scale: float, shift: tuple[float, float]) -> PoseSequence:
    points = poses.keypoints.copy()
    points[..., :2] = points[..., :2] * scale + shift
    return replace(poses, keypoints=points, width=500, height=400)


def distance(poses: PoseSequence, truth: PoseSequence, points: slice) -> float:
    """Mean distance in shoulder widths of the truth."""
    gaps = np.linalg.norm(poses.keypoints[:, points, :2] - truth.keypoints[:, points, :2], axis=-1)
    return float(gaps.mean() / measure(truth).shoulders)


def handshape(poses: PoseSequence, truth: PoseSequence) -> float:
    """The same of both hands, each about its wrist."""
    total = 0.0
    for hand in (LEFT_HAND, RIGHT_HAND):
        ours, theirs = (p.keypoints[:, hand, :2] - p.keypoints[:, hand, :2][:, :1] for p in (poses, truth))
        total += float(np.linalg.norm(ours - theirs, axis=-1).mean()) / 2
    return total / measure(truth).shoulders


def test_onto_oneself_nothing_changes() -> None:
    poses = performed(1, 1)
    np.testing.assert_allclose(retarget(poses, poses).keypoints, poses.keypoints, atol=1e-3)
    found = scales(poses, poses)
    assert (found.body, found.hands, found.face, found.shift) == (1, 1, 1, (0, 0))


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize(("scale", "shift"), [(1.7, (30, -12)), (0.4, (-5, 100))])
def test_a_scaled_and_moved_copy_maps_back(scale: float, shift: tuple[float, float], gaps: bool) -> None:
    poses = performed(1, 1)
    if gaps:  # anchors go missing one after the other: a hand's wrist, the body's too, one eye, all of a hand
        poses.keypoints[3:9, 91] = poses.keypoints[5:9, 9] = poses.keypoints[10:12, 60] = MISSING
        poses.keypoints[20:30, RIGHT_HAND] = poses.keypoints[40:44, 59:71] = poses.keypoints[42:44, :5] = MISSING
    copy = changed(poses, scale, shift)
    there, back = retarget(poses, copy), retarget(copy, poses)
    np.testing.assert_allclose(there.keypoints, copy.keypoints, atol=2e-3)
    np.testing.assert_allclose(back.keypoints, poses.keypoints, atol=2e-3)
    assert (there.width, there.height, there.fps) == (500, 400, 25.0)
    assert scales(poses, copy).body == pytest.approx(scale, rel=1e-5)


def test_hands_and_face_have_their_own_sizes() -> None:
    """Closed form: a target whose hands are twice as large, and whose eyes are half as far apart."""
    poses = figure_poses(12)
    target = figure_poses(12)
    for hand in (LEFT_HAND, RIGHT_HAND):
        points = target.keypoints[:, hand, :2]
        points[:] = points[:, :1] + 2 * (points - points[:, :1])
    eyes = target.keypoints[:, 59:71, :2]
    middle = (eyes[:, :6].mean(1) + eyes[:, 6:].mean(1))[:, None] / 2
    face = target.keypoints[:, 23:91, :2]
    face[:] = middle + 0.5 * (face - middle)
    body = target.keypoints[:, :5, :2]
    body[:] = middle + 0.5 * (body - middle)
    found = scales(poses, target)
    assert (found.body, found.hands, found.face) == pytest.approx((1, 2, 0.5), rel=1e-5)
    np.testing.assert_allclose(retarget(poses, target).keypoints, target.keypoints, atol=1e-3)


@pytest.mark.parametrize("broken", [(9000.0, -400.0, 1.0), MISSING, (3.0, 3.0, 1.0)])
def test_one_broken_frame_does_not_change_the_scales(broken: tuple) -> None:
    steady = replace(figure_poses(1), keypoints=figure_poses(1).keypoints.repeat(11, 0))
    target = changed(steady, 1.5, (4, 4))
    expected = scales(steady, target)
    for poses in (steady, target):
        poses.keypoints[5] = np.random.default_rng(0).uniform(0, 1, (133, 1)) * np.array(broken)
    assert scales(steady, target) == expected


def test_doubtful_points_are_not_measured() -> None:
    poses = performed(1, 1)
    expected = measure(poses)
    poses.keypoints[:40, 5, :2] += 300
    poses.keypoints[:40, 5, 2] = 0.1
    assert measure(poses).shoulders == pytest.approx(expected.shoulders, rel=0.05)


def test_what_is_missing_stays_missing_and_is_scaled_like_the_body() -> None:
    poses, target = performed(1, 1), performed(2, 2)
    poses.keypoints[:, 91:] = MISSING
    found = scales(poses, target)
    assert found.hands == found.body
    np.testing.assert_array_equal(retarget(poses, target).present, poses.present)
    np.testing.assert_array_equal(retarget(poses, target).keypoints[..., 2], poses.keypoints[..., 2])


@pytest.mark.parametrize("which", [0, 1])
def test_without_shoulders_there_is_no_scale(which: int) -> None:
    pair = [performed(1, 1), performed(2, 2)]
    pair[which].keypoints[:, 6] = MISSING
    with pytest.raises(PoseError, match="both shoulders"):
        retarget(*pair)


def test_a_single_frame_is_a_target() -> None:
    target = performed(2, 2)
    assert scales(performed(1, 1), target[:1]).body == pytest.approx(scales(performed(1, 1), target).body, rel=0.1)


def test_hands_that_mostly_point_at_the_camera_do_not_look_small() -> None:
    steady = replace(figure_poses(1), keypoints=figure_poses(1).keypoints.repeat(20, 0))
    target = replace(steady, keypoints=steady.keypoints.copy())
    for hand in (LEFT_HAND, RIGHT_HAND):
        points = target.keypoints[:13, hand, :2]
        points[..., 1] = points[:, :1, 1] + 0.3 * (points[..., 1] - points[:, :1, 1])
    assert scales(steady, target).hands == pytest.approx(1, rel=1e-5)


def test_real_signers_have_hands_of_nearly_one_size(testdata) -> None:
    """Palms in shoulder widths, of clips from five sources: people differ by some percent, foreshortening by half."""
    signers, phoenix = testdata / "signers", testdata / "phoenix"
    clips = {
        signers / "football.mmpose133.json": (640, 360),
        signers / "human_signer_dwpose": (480, 480),
        signers / "how2sign_openpose" / "4-3": (1280, 720),
        phoenix / "clip_b.mmpose133.json": (210, 260),
        phoenix / "25June_2010_Friday_tagesschau-3880.mmpose133.json": (210, 260),
    }
    people = [measure(read_poses(path, size=size)) for path, size in clips.items()]
    palms = [person.palm / person.shoulders for person in people]
    assert max(palms) < 1.2 * min(palms)
    eyes = [person.eyes / person.shoulders for person in people]
    assert max(eyes) < 1.2 * min(eyes)


def test_it_brings_poses_to_where_the_other_signer_would_have_them() -> None:
    """Truth: the target signer performs the driving one's motion. The target is known from another clip only."""
    whole, hands, shapes = [], [], []
    for signer in range(8):
        poses, target = performed(signer, signer), performed(signer + 20, signer + 100)
        truth = performed(signer + 20, signer)
        fitted = retarget(poses, target)
        seen = np.r_[0:13, 23:133]
        whole.append([distance(p, truth, seen) for p in (poses, fitted)])
        hands.append([distance(p, truth, np.s_[91:133]) for p in (poses, fitted)])
        shapes.append([handshape(p, truth) for p in (poses, fitted)])
    for pairs, share in ((whole, 0.4), (hands, 0.4), (shapes, 0.7)):
        before, after = np.mean(pairs, 0)
        assert after < share * before


def with_a_level_face(frames: int) -> PoseSequence:
    """The figure, whose face is a ring, with eyes side by side and a chin below them."""
    poses = figure_poses(frames)
    for part, place in ((slice(59, 65), (30, 12)), (slice(65, 71), (34, 12)), (31, (32, 21))):
        poses.keypoints[:, part, :2] = place
    return poses


def turned(poses: PoseSequence, degrees: float) -> PoseSequence:
    """Seen from a far camera after a turn about the vertical through the shoulders' middle: x shrinks, y stays."""
    points = poses.keypoints.copy()
    middle = points[:, 5:7, 0].mean(1)[:, None]
    points[..., 0] = middle + np.cos(np.radians(degrees)) * (points[..., 0] - middle)
    return replace(poses, keypoints=points)


def height(poses: PoseSequence) -> float:
    """From the nose to the middle of the hips, median."""
    points = poses.keypoints[..., :2]
    return float(np.median(np.linalg.norm(points[:, 0] - points[:, 11:13].mean(1), axis=-1)))


@pytest.mark.parametrize("degrees", [20, 45, 70, 85])
@pytest.mark.parametrize("one_picture", [True, False])
@pytest.mark.parametrize("who", ["target", "driving", "both"])
def test_somebody_who_is_turned_keeps_their_size(degrees: float, one_picture: bool, who: str) -> None:
    person = with_a_level_face(12)
    poses = turned(person, degrees) if who in ("driving", "both") else person
    target = turned(person, degrees) if who in ("target", "both") else person
    target = target[:1] if one_picture else target
    found = scales(poses, target)
    assert height(retarget(poses, target)) == pytest.approx(height(person), rel=0.1)
    assert (found.body, found.face) == pytest.approx((1, 1), abs=0.1)
    assert bool(found.notes) == (np.cos(np.radians(degrees)) < 1 / 1.5 and who != "both")
    assert retarget(poses, target).notes == found.notes


def test_palms_seen_edge_on_in_one_picture_do_not_shrink_hands() -> None:
    poses = figure_poses(12)
    target = figure_poses(1)
    for hand in (LEFT_HAND, RIGHT_HAND):
        points = target.keypoints[:, hand, :2]
        points[:] = points[:, :1] + 0.4 * (points - points[:, :1])
    found = scales(poses, target)
    assert (found.body, found.hands) == (1, 1)
    assert "the palms say x0.40" in found.notes[0]
    larger = replace(target, keypoints=target.keypoints.copy())
    for hand in (LEFT_HAND, RIGHT_HAND):
        points = larger.keypoints[:, hand, :2]
        points[:] = points[:, :1] + 5 * (points - points[:, :1])
    assert scales(poses, larger).hands == pytest.approx(2, rel=1e-4)  # a palm can look short, but not long


def test_hips_at_the_edge_of_the_frame_are_no_measure() -> None:
    """A signer cut off at the waist: estimators put hips at the edge, wherever that is."""
    poses, target = figure_poses(12), figure_poses(12)
    target.keypoints[:, 11:13, 1] = target.height - 1
    assert measure(poses).torso > 0
    assert np.isnan(measure(target).torso)
    assert scales(poses, target).body == 1


def without_hips(poses: PoseSequence) -> PoseSequence:
    points = poses.keypoints.copy()
    points[:, 11:13] = MISSING
    return replace(poses, keypoints=points)


def test_a_raised_chin_does_not_outvote_shoulders_and_face() -> None:
    """Hips out of view: the heights left are the face and nose to shoulders, which a chin or a camera changes."""
    poses = without_hips(with_a_level_face(12))
    target = without_hips(with_a_level_face(12))
    head = [*range(5), *range(23, 91)]
    target.keypoints[:, head, 1] -= 0.5 * measure(poses).head
    found = scales(poses, target)
    assert (found.body, found.face) == pytest.approx((1, 1))
    assert not found.notes


@pytest.mark.parametrize("who", ["target", "driving"])
def test_somebody_who_is_turned_keeps_their_size_without_hips(who: str) -> None:
    person = without_hips(with_a_level_face(12))
    poses = turned(person, 60) if who == "driving" else person
    target = turned(person, 60) if who == "target" else person
    assert scales(poses, target).body == pytest.approx(1, abs=0.1)


def test_real_signers_whose_hips_are_out_of_view(testdata) -> None:
    """Shoulders x0.39, eyes x0.40, face x0.36, but nose to shoulders x0.59: a camera at another height."""
    poses = read_poses(testdata / "signers/openpose_sample", size=(1280, 720))
    target = read_poses(testdata / "signers/football.mmpose133.json", size=(640, 360))
    found = scales(poses, target)
    assert found.body == pytest.approx(0.39, abs=0.02)
    assert found.body == pytest.approx(found.face, rel=0.1)


def test_the_head_comes_to_lie_on_the_targets_head() -> None:
    """Of a target with a longer neck; otherwise a second face would stand beside the source's."""
    poses, target = figure_poses(12), figure_poses(12)
    head = [*range(5), *range(23, 91)]
    target.keypoints[:, head, 1] -= 7
    fitted = retarget(poses, target)
    np.testing.assert_allclose(fitted.keypoints, target.keypoints, atol=1e-3)
    assert scales(poses, target).head_shift == pytest.approx((0, -7))
    assert "eyes moved by +0.0, -7.0 px" in str(scales(poses, target))


def test_the_turned_person_of_a_bug_report(cases) -> None:
    folder = cases / "retarget-turned-person"
    driving, photo = (read_poses(folder / f"{name}.json", size=(96, 96)) for name in ("driving", "photo_turned"))
    fitted = retarget(driving, photo)
    assert height(fitted) == pytest.approx(36, rel=0.1)
    assert any("shoulders say x0.35" in note for note in fitted.notes)
