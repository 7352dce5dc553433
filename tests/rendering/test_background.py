"""Work beside the rendering: order, bounds, the error as it is, and the same numbers as at once."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from signgen.errors import PoseError, VideoError
from signgen.evaluation.baselines import CopySource
from signgen.metrics.clip.scorer import FrameScorer
from signgen.metrics.image.lpips import Lpips, build_network
from signgen.poses.draw import SIGNGEN_133
from signgen.rendering.background import FrameWorker, made_ahead
from signgen.rendering.output import Truth, write_rendering
from signgen.rendering.outputs import Outputs
from signgen.rendering.renderer import Source
from signgen.video.reader import open_frames, write_png
from tests.worlds import figure_frames, figure_poses

FRAMES = 12


def test_calls_are_done_in_order_by_one_thread_with_this_ones_number_of_torch_threads() -> None:
    seen: list[tuple[str, int]] = []
    done: list[int] = []

    def work(number: int) -> None:
        done.append(number)
        seen.append((threading.current_thread().name, torch.get_num_threads()))

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with FrameWorker(3) as worker:
            for number in range(50):
                worker.submit(work, number)
    finally:
        torch.set_num_threads(before)
    assert done == list(range(50))
    assert set(seen) == {("signgen-background_0", 2)}


def test_no_more_than_so_many_wait() -> None:
    gate, begun = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        gate.wait(10)

    submitted: list[int] = []

    def fill(worker: FrameWorker) -> None:
        for number in range(10):
            worker.submit(hold)
            submitted.append(number)

    with FrameWorker(4) as worker:
        filler = threading.Thread(target=fill, args=(worker,))
        filler.start()
        assert begun.wait(10)
        filler.join(0.2)
        assert submitted == [0, 1, 2, 3]
        gate.set()
        filler.join(10)
    assert len(submitted) == 10


def test_an_error_is_raised_as_it_is_and_ends_the_work() -> None:
    done: list[int] = []
    error = VideoError("frame 3 is broken")

    def work(number: int) -> None:
        if number == 3:
            raise error
        done.append(number)

    def work_on(numbers: range) -> None:
        with FrameWorker(2) as worker:
            for number in numbers:
                worker.submit(work, number)

    with pytest.raises(VideoError) as raised:
        work_on(range(100))
    assert raised.value is error
    assert done == [0, 1, 2]
    with pytest.raises(VideoError):
        work_on(range(3, 4))  # the last call: there is no later one to tell


def test_what_was_handed_over_is_done_when_the_rendering_breaks_off() -> None:
    done: list[int] = []
    gate = threading.Event()

    def work(number: int) -> None:
        gate.wait(10)
        done.append(number)

    def break_off() -> None:
        with FrameWorker() as worker:
            for number in range(5):
                worker.submit(work, number)
            gate.set()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert done == list(range(5))


class Rendering:
    """A clip of the figure, its truth on the disk, and a rendering that is a little off."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.poses = folder, figure_poses(FRAMES)
        truth = figure_frames(self.poses)
        for number, frame in enumerate(truth):
            write_png(folder / "truth" / f"{number:04}.png", frame)
        rng = np.random.default_rng(0)
        self.output = [np.clip(frame + rng.integers(0, 25, frame.shape), 0, 255).astype(np.uint8) for frame in truth]
        self.source = Source(truth[0], None, "figure")

    def scorer(self, keypoints: int = FRAMES) -> FrameScorer:
        torch.manual_seed(0)
        lpips = Lpips(build_network("alex"))
        baselines = {"copy-source": CopySource(self.source.frame)}
        return FrameScorer(keypoints=self.poses.keypoints[:keypoints], baselines=baselines, lpips=lpips, quick=True)

    def write(self, scorer: FrameScorer) -> Path:
        truth = Truth(open_frames(self.folder / "truth"), scorer)
        outputs = Outputs(self.folder / "out.mp4", 25.0, side_by_side=True, frames=self.folder / "pngs")
        write_rendering(self.output, self.source, self.poses, 0, SIGNGEN_133, outputs, truth, lambda: None)
        return self.folder / "out.mp4"


@pytest.fixture
def rendering(tmp_path: Path) -> Rendering:
    return Rendering(tmp_path)


def test_scores_taken_beside_the_rendering_are_those_taken_at_once(rendering: Rendering) -> None:
    beside, at_once = rendering.scorer(), rendering.scorer()
    video = rendering.write(beside)
    truth = open_frames(rendering.folder / "truth")
    for number, frame in enumerate(rendering.output):
        at_once.update(number, frame, truth.read(number, number + 1)[0])
    assert beside.result() == at_once.result()
    assert open_frames(video).num_frames == FRAMES


def test_an_error_of_scoring_keeps_what_was_written_before(rendering: Rendering) -> None:
    with pytest.raises(PoseError, match="keypoints for 5 frames"):
        rendering.write(rendering.scorer(keypoints=5))
    assert open_frames(rendering.folder / "out.partial.mp4").num_frames == 6
    assert len(list((rendering.folder / "pngs").iterdir())) == 6
    assert not (rendering.folder / "out.mp4").exists()


def test_made_ahead_is_in_order_and_one_ahead() -> None:
    made: list[int] = []
    gate = threading.Semaphore(0)

    def make(number: int) -> int:
        made.append(number)
        gate.release()
        return number**2

    for item, square in made_ahead(make, range(5)):
        assert square == item**2
        for _ in range(2 if item == 0 else 1 if item < 4 else 0):  # the next one is made while this one is worked on
            assert gate.acquire(timeout=10)
    assert made == [0, 1, 2, 3, 4]


def test_an_error_of_what_is_made_ahead_comes_in_its_place() -> None:
    def make(number: int) -> int:
        if number == 2:
            raise PoseError("third")
        return number

    made = made_ahead(make, range(9))
    assert [next(made), next(made)] == [(0, 0), (1, 1)]
    with pytest.raises(PoseError, match="third"):
        next(made)
