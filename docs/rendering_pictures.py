"""The pictures of rendering.md: `python docs/rendering_pictures.py demo`, of a finished demo, writes them here.

render-own.png, render-other.png, render-studio.png, render-hands.png. Only drawn signers are shown: no picture of a
real person is part of the project.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from signgen.poses.draw import SIGNGEN_133, draw_pose
from signgen.poses.parts import part_boxes
from signgen.poses.readers import read_poses
from signgen.poses.retarget import retarget
from signgen.poses.sequence import PoseSequence
from signgen.synthetic import frame_folders, signer_of
from signgen.video.reader import open_frames, write_png

HERE = Path(__file__).parent
SIZE, FPS = (210, 260), 25.0
STUDIO, PLACE = (1280, 720), (540, 460)  # of the studio's frame, and where the signer's begins in it
GAP, ZOOM = 6, 96  # pixels between pictures; side of a part that is shown enlarged


def main(demo: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="pictures-") as name:
        guide = Guide(demo, Path(name))
        for kind in ("own", "other", "studio", "hands"):
            picture = Image.fromarray(getattr(guide, kind)()).quantize(256, dither=Image.Dither.NONE)
            picture.save(HERE / f"render-{kind}.png", optimize=True)


class Guide:
    """The demo's first test clip, rendered in many ways; all pictures are uint8 (h, w, 3)."""

    def __init__(self, demo: Path, folder: Path) -> None:
        self.folder, self.model = folder, demo / "run" / "model"
        self.clips = {split: frame_folders(demo / "corpus", split) for split in ("train", "test")}
        self.keypoints = {split: demo / "corpus" / "keypoints" / f"Phoenix-2014T.{split}" for split in self.clips}
        self.clip = self.clips["test"][0]
        self.truth, self.poses = open_frames(self.clip).read(), self.read_poses("test", self.clip)
        self.source = folder / "signer.png"
        write_png(self.source, self.truth[0])
        self.poses[0:1].save(folder / "signer.poses.npz")
        quarter = len(self.poses) // 4
        self.shown = [quarter, 2 * quarter, 3 * quarter]
        self.plain = self.render("plain", self.poses)

    def read_poses(self, split: str, clip: Path) -> PoseSequence:
        return read_poses(self.keypoints[split], clip=clip.name, size=SIZE, fps=FPS)

    def render(self, name: str, poses: PoseSequence, *options: object, source: Path | None = None) -> np.ndarray:
        """uint8 (T, h, w, 3), by the command."""
        out = self.folder / name
        out.mkdir()
        poses.save(out / "driving.poses.npz")
        words = ["render", source or self.source, out / "driving.poses.npz", "--clean", "--truth", "none"]
        words += ["--model", self.model, "--out", out / "out.mp4", "--save-frames", out / "frames", *options]
        subprocess.run([sys.executable, "-m", "signgen", *map(str, words)], check=True, stdout=subprocess.DEVNULL)
        return open_frames(out / "frames").read()

    def own(self) -> np.ndarray:
        """Source | pose | output | truth."""
        rows = [[self.truth[0], drawn(self.poses, n), self.plain[n], self.truth[n]] for n in self.shown]
        return stacked([beside(row) for row in rows])

    def other(self) -> np.ndarray:
        """Source | another person's pose over it | the output | the pose as --retarget auto fits it | the output."""
        unseen = self.clips["test"][-1]
        assert signer_of(unseen.name) != signer_of(self.clip.name)
        # of a person who sits nearer to the camera, and not in the middle
        driving = self.read_poses("test", unseen)
        points = driving.keypoints.copy()
        points[..., :2] = (points[..., :2] - (105, 100)) * 1.25 + (130, 120)
        driving = driving.with_points(points)
        fitted = retarget(driving, self.poses[0:1])
        raw = self.render("raw", driving)
        auto = self.render("auto", driving, "--retarget", "auto")
        person = self.truth[0]
        rows = [[person, drawn(driving, n, person), raw[n], drawn(fitted, n, person), auto[n]] for n in self.shown]
        return stacked([beside(row) for row in rows])

    def studio(self) -> np.ndarray:
        """The whole frame with the rectangle | truth, without and with --crop signer, enlarged."""
        # the signer in a large frame
        (width, height), (left, top) = STUDIO, PLACE
        part = slice(self.shown[0], self.shown[-1] + 1)
        around = ((0, 0), (top, height - top - SIZE[1]), (left, width - left - SIZE[0]), (0, 0))
        studio = np.pad(self.truth, around, mode="edge")
        points = self.poses.keypoints.copy()
        points[..., :2] += PLACE
        poses = PoseSequence(points, width, height, FPS)
        source = self.folder / "studio.png"
        write_png(source, studio[0])
        poses[0:1].save(self.folder / "studio.poses.npz")
        # both ways
        found = {crop: self.render(crop, poses[part], "--crop", crop, source=source)[-1] for crop in ("none", "signer")}
        truth = studio[part.stop - 1]
        small = cv2.resize(truth, (SIZE[1] * width // height, SIZE[1]), interpolation=cv2.INTER_AREA)
        near = [each[top : top + SIZE[1], left : left + SIZE[0]] for each in (truth, found["none"], found["signer"])]
        return beside([small, *near])

    def hands(self) -> np.ndarray:
        """The hands of three frames, enlarged: truth | output | with another clip of the signer as references."""
        clip = next(clip for clip in self.clips["train"] if signer_of(clip.name) == signer_of(self.clip.name))
        path = self.folder / "reference.poses.npz"
        self.read_poses("train", clip).save(path)
        referenced = self.render("referenced", self.poses, "--references", clip, "--reference-poses", path)
        rows = []
        for number in self.shown:
            boxes = part_boxes(self.poses.keypoints[number], *SIZE)
            box = boxes["right_hand"] or boxes["left_hand"]
            assert box is not None
            rows.append(beside([near(clip[number], box) for clip in (self.truth, self.plain, referenced)]))
        return beside(rows)


def drawn(poses: PoseSequence, number: int, over: np.ndarray | None = None) -> np.ndarray:
    """A pose as a picture, or over a darkened frame."""
    picture = draw_pose(poses.keypoints[number], *SIZE, source_size=SIZE, palette=SIGNGEN_133)
    return picture if over is None else np.where(picture.any(-1, keepdims=True), picture, over // 2)


def near(frame: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """The square around a box, enlarged."""
    middle = np.array([box[0] + box[2], box[1] + box[3]]) // 2
    low = np.clip(middle - ZOOM // 2, 0, np.array(SIZE) - ZOOM)
    part = frame[low[1] : low[1] + ZOOM, low[0] : low[0] + ZOOM]
    return cv2.resize(part, (2 * ZOOM, 2 * ZOOM), interpolation=cv2.INTER_CUBIC)


def beside(pictures: list[np.ndarray]) -> np.ndarray:
    """Side by side, white between."""
    gap = np.full((len(pictures[0]), GAP, 3), 255, np.uint8)
    return np.concatenate([part for picture in pictures for part in (picture, gap)][:-1], 1)


def stacked(rows: list[np.ndarray]) -> np.ndarray:
    """One above the other, white between."""
    gap = np.full((GAP, rows[0].shape[1], 3), 255, np.uint8)
    return np.concatenate([part for row in rows for part in (row, gap)][:-1])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
