"""A pose network and frames with known keypoints in; how often it finds the joints of each part out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from signgen.metrics.pose.accuracy import has_shoulders, joint_errors, placed
from signgen.models.heat_maps import PoseNetwork, seen_points
from signgen.poses.parts import joint_parts, visible
from signgen.poses.skeletons import COCO_WHOLEBODY_133
from signgen.training.data.dataset import spread
from signgen.training.posenet.frames import PoseFrames, whole_body

SHARE = 0.1  # of the shoulder width
DEFINITION = (
    "pck_0.1: of the joints that are seen in the truth and by the network (score 0.3 or more), the share that lies"
    " within 0.1 shoulder widths of the truth, the unit being the truth's median over the clip; seen: of the truth's"
    " joints, the share that the network sees; found: the share that it sees and that lies within"
)
_BATCH = 16


@dataclass(frozen=True)
class PartAccuracy:
    """Of one part. points: joints that the truth shows, over all frames; the others are those of DEFINITION."""

    pck: float
    seen: float
    found: float
    points: int

    @property
    def shares(self) -> dict[str, float]:
        """By the names that cards and logs have for them."""
        return {"pck_0.1": self.pck, "seen": self.seen, "found": self.found}


def part_accuracy(network: PoseNetwork, frames: PoseFrames, most: int) -> dict[str, PartAccuracy]:
    """Of at most `most` frames, evenly spread: body, hands and face, as far as the network has joints of them and the
    truth shows any. Clips whose truth has no shoulders have no unit and are left out."""
    rows = frames.rows[spread(len(frames), most)]
    errors, shown = [], []
    for clip in np.unique(rows[:, 0]):
        numbers = rows[rows[:, 0] == clip, 1].tolist()
        record = frames.pairs.clips[clip]
        truth = np.stack([whole_body(points) for points in frames.pairs.poses(record.name).keypoints])
        if has_shoulders(truth):
            seen = placed(_seen_in(network, frames, record.name, numbers), numbers, len(truth))
            errors.append(joint_errors(seen, truth)[numbers])
            shown.append(visible(truth[numbers]))
    if not errors:
        return {}
    return _by_part(np.concatenate(errors), np.concatenate(shown), network.joints)


def _seen_in(network: PoseNetwork, frames: PoseFrames, clip: str, numbers: list[int]) -> np.ndarray:
    """float32 (N, 133, 3) in pixels of the clip's frames."""
    record = frames.pairs.clip(clip)
    found = []
    for start in range(0, len(numbers), _BATCH):
        images = np.stack([frames.images(clip, frame) for frame in numbers[start : start + _BATCH]])
        found.append(seen_points(network, images))
    return network.canvas.restore_keypoints(np.concatenate(found), record.width, record.height)


def _by_part(errors: np.ndarray, shown: np.ndarray, joints: tuple[int, ...]) -> dict[str, PartAccuracy]:
    """errors: (N, 133) in shoulder widths, NaN where unseen; shown: bool (N, 133), by the truth."""
    parts = {}
    for part, members in joint_parts(COCO_WHOLEBODY_133.points).items():
        mine = [joint for joint in members if joint in joints]
        total = int(shown[:, mine].sum())
        if not total:
            continue
        known = np.isfinite(errors[:, mine])
        within = int((errors[:, mine][known] <= SHARE).sum())
        pck = within / int(known.sum()) if known.any() else 0.0
        parts[part] = PartAccuracy(pck, int(known.sum()) / total, within / total, total)
    return parts
