"""Renderings in segments: joined they are one file, interrupted they go on, and the result is the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from signgen.errors import SigngenError, VideoError
from signgen.evaluation.baselines import CopySource
from signgen.metrics.clip.scorer import FrameScorer
from signgen.poses.draw import SIGNGEN_133
from signgen.rendering import parts as parts_module
from signgen.rendering import segments as segments_module
from signgen.rendering.output import Truth, write_rendering
from signgen.rendering.outputs import Outputs
from signgen.rendering.parts import Parts, parts_folder
from signgen.rendering.source import Source
from signgen.video.reader import open_frames, write_png
from tests.worlds import figure_frames, figure_poses

FRAMES, SEGMENT, FIRST = 23, 5, 3  # the last segment is short; the poses begin at frame 3 of their clip
REQUEST = {"model": "12ab", "seed": 0, "steady": ("colour", "shimmer")}  # settings hold tuples, which JSON has not


@pytest.fixture(autouse=True)
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (parts_module, segments_module):
        monkeypatch.setattr(module, "SEGMENT", SEGMENT)


class Rendering:
    """Frames that are a little off the truth, written with everything that a rendering can write."""

    def __init__(self, folder: Path, truth: Path) -> None:
        self.folder, self.poses = folder, figure_poses(FIRST + FRAMES)
        self.real = figure_frames(self.poses)
        rng = np.random.default_rng(0)
        self.frames = [np.clip(f + rng.integers(0, 25, f.shape), 0, 255).astype(np.uint8) for f in self.real[FIRST:]]
        self.truth = Truth(open_frames(truth), self.scorer())
        self.outputs = Outputs(folder / "o.mp4", 25.0, True, folder / "pngs", description="d", skeleton=True)

    def scorer(self) -> FrameScorer:
        baselines = {"copy-source": CopySource(self.real[0]), "black": lambda *_: np.zeros_like(self.real[0])}
        return FrameScorer(keypoints=self.poses.keypoints, baselines=baselines, quick=True)

    def write(self, stop_at: int | None = None, resume: bool = False) -> Parts:
        parts = Parts(parts_folder(self.outputs.video), FRAMES)
        parts.begin(REQUEST, resume)
        if parts.finished:
            last = FIRST + parts.frames - 1
            self.truth.scorer.restore(parts.rows(), parts.last_frame(), self.real[last])
        done = []

        def advance() -> None:
            done.append(1)
            if parts.frames + len(done) == stop_at:
                raise KeyboardInterrupt

        source, poses = Source(self.real[0], None, "figure"), self.poses[FIRST:]
        rest = self.frames[parts.frames :]
        write_rendering(rest, source, poses, FIRST, SIGNGEN_133, self.outputs, self.truth, advance, parts)
        return parts

    @property
    def files(self) -> dict[str, bytes]:
        return {p.relative_to(self.folder).as_posix(): p.read_bytes() for p in self.folder.rglob("*") if p.is_file()}


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    for number, frame in enumerate(figure_frames(figure_poses(FIRST + FRAMES))):
        write_png(tmp_path / "truth" / f"{number:04}.png", frame)
    return tmp_path / "truth"


def test_a_joined_file_has_every_frame_and_nothing_else_is_left(truth: Path, tmp_path: Path) -> None:
    rendering = Rendering(tmp_path / "a", truth)
    rendering.write()
    names = {"o.mp4", "o.side-by-side.mp4", "o.skeleton.mp4", *(f"pngs/images{n + 1:04d}.png" for n in range(3, 26))}
    assert set(rendering.files) == names
    video = open_frames(rendering.outputs.video)
    assert (video.num_frames, video.fps, video.times) == (FRAMES, 25.0, None)
    found = video.read().astype(int)
    off = [[np.abs(picture - frame).mean() for frame in rendering.frames] for picture in found]
    assert np.diag(off).max() < 8  # noise, which no codec keeps
    assert np.argmin(off, 1).tolist() == [*range(FRAMES)]


@pytest.mark.parametrize("stops", [(1,), (12,), (5, 11, 23), (22,), (23,)])
def test_an_interrupted_one_goes_on_to_the_same_bytes_and_scores(
    stops: tuple[int, ...], truth: Path, tmp_path: Path
) -> None:
    """Interrupted in a segment, at its end, several times, behind the last frame."""
    whole = Rendering(tmp_path / "a", truth)
    whole.write()
    for place, stop in enumerate(stops):
        part = Rendering(tmp_path / "b", truth)
        with pytest.raises(KeyboardInterrupt):
            part.write(stop, resume=place > 0)
        assert open_frames(tmp_path / "b" / "o.partial.mp4").num_frames == stop
        assert open_frames(tmp_path / "b" / "o.side-by-side.partial.mp4").num_frames == stop
        assert (tmp_path / "b" / "o.parts").exists() == (stop >= SEGMENT)
    (tmp_path / "b" / ".o.mp4.4711.tmp").write_bytes(b"killed while it was joined")
    rest = Rendering(tmp_path / "b", truth)
    rest.write(resume=True)
    assert rest.files == whole.files
    assert rest.truth.scorer.result() == whole.truth.scorer.result()


def interrupted(folder: Path, truth: Path) -> Rendering:
    rendering = Rendering(folder, truth)
    with pytest.raises(KeyboardInterrupt):
        rendering.write(17)
    return rendering


def test_what_is_there_is_not_thrown_away(truth: Path, tmp_path: Path) -> None:
    interrupted(tmp_path / "b", truth)
    with pytest.raises(SigngenError, match=r"o\.parts holds an interrupted rendering; continue it with --resume"):
        Rendering(tmp_path / "b", truth).write()
    parts = Parts(tmp_path / "b" / "o.parts", FRAMES)
    with pytest.raises(SigngenError, match="--resume with another seed: 1; expected 0, with which"):
        parts.begin({**REQUEST, "seed": 1}, resume=True)
    with pytest.raises(SigngenError, match="--resume with another model: None"):
        parts.begin({"seed": 0}, resume=True)
    parts.begin(REQUEST, resume=True)
    assert parts.frames == 15


@pytest.mark.parametrize("damage", ["cut", "changed", "gone", "no state", "no rows"])
def test_a_segment_is_believed_by_length_and_crc(damage: str, truth: Path, tmp_path: Path) -> None:
    """And made again, with those behind it."""
    whole = Rendering(tmp_path / "a", truth)
    whole.write()
    folder = interrupted(tmp_path / "b", truth).folder / "o.parts"
    file, state = folder / "000001.main.mp4", folder / "000001.json"
    data = file.read_bytes()
    if damage == "no state":
        state.write_text(state.read_text()[:50])
    elif damage == "no rows":
        state.write_text(json.dumps({"files": json.loads(state.read_text())["files"]}))
    elif damage == "gone":
        file.unlink()
    else:
        file.write_bytes(data[:-1] if damage == "cut" else data[:-1] + bytes([data[-1] ^ 1]))
    rest = Rendering(tmp_path / "b", truth)
    parts = Parts(folder, FRAMES)
    parts.begin(REQUEST, resume=True)
    assert parts.frames == SEGMENT
    assert {path.name.partition(".")[0] for path in folder.iterdir()} == {"000000"}
    parts.make()
    rest.write(resume=True)
    assert rest.files == whole.files


def test_states_hold_no_more_than_their_own_rows(truth: Path, tmp_path: Path) -> None:
    folder = interrupted(tmp_path / "b", truth).folder / "o.parts"
    rows = [json.loads((folder / f"{n:06d}.json").read_text())["rows"] for n in range(3)]
    assert [[row["frame"] for row in each[""]] for each in rows] == [[*range(n, n + 5)] for n in (3, 8, 13)]
    assert set(rows[0]) == {"", "copy-source", "black"}


def test_too_few_frames_are_no_rendering(truth: Path, tmp_path: Path) -> None:
    rendering = Rendering(tmp_path / "a", truth)
    del rendering.frames[-2:]
    with pytest.raises(VideoError, match="21 frames were rendered; expected 23"):
        rendering.write()
    assert not rendering.outputs.video.exists()
