"""Damaged videos: what is found, which frames are named, and what readers and writers of them do."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from signgen.errors import VideoError
from signgen.video.damage import CORRUPT, LOGGED, MISSING, Damage, Trail, damage_text, damage_within
from signgen.video.probe import decoded
from signgen.video.reader import open_frames
from tests.video.making import flipped, textured, write

FILES, BYTES = 25, 5


def pixels(path: Path) -> np.ndarray:
    """Every frame, by PyAV alone."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        return np.stack([frame.to_ndarray(format="rgb24") for frame in decoded(container, stream)])


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 frames in groups of 12."""
    return write(tmp_path_factory.mktemp("sound") / "a.mp4", textured(40, 128, 96), options={"g": "12"})


def test_every_damaged_h264_file_is_found(sound: Path, tmp_path: Path) -> None:
    """Five bytes flipped: every file that decodes to other pixels is named; the whole one is not."""
    assert open_frames(sound).damaged == ()
    whole, different = pixels(sound), 0
    for seed in range(FILES):
        path = flipped(sound, tmp_path / f"{seed}.mp4", BYTES, seed)
        shown = pixels(path)
        if shown.shape == whole.shape and (shown == whole).all():
            continue
        different += 1
        assert open_frames(path).damaged, seed
    assert different >= 20


def test_ranges_go_to_the_next_key_frame(sound: Path, tmp_path: Path) -> None:
    for seed in range(6):
        for damage in open_frames(flipped(sound, tmp_path / "a.mp4", BYTES, seed)).damaged:
            assert 0 <= damage.start < damage.stop
            assert damage.stop in (12, 24, 36, 40)


def test_the_log_is_left_as_it_was(sound: Path) -> None:
    before = av.logging.get_level(), av.logging.get_skip_repeated()
    open_frames(sound)
    assert (av.logging.get_level(), av.logging.get_skip_repeated()) == before


def test_the_same_damage_twice_is_found_twice(sound: Path, tmp_path: Path) -> None:
    """FFmpeg's second message is the same, which PyAV would leave out."""
    first, second = (flipped(sound, tmp_path / name, BYTES, 3) for name in ("1.mp4", "2.mp4"))
    assert open_frames(first).damaged == open_frames(second).damaged != ()


def test_reading_and_checking(sound: Path, tmp_path: Path) -> None:
    source = open_frames(flipped(sound, tmp_path / "a.mp4", BYTES, 0))
    assert source.read().shape == (40, 96, 128, 3)  # read it can be; who uses it, checks
    first = source.damaged[0]
    source.check(0, first.start)
    with pytest.raises(VideoError, match=rf"a\.mp4: damaged: frames {first.start}-.*; expected whole frames; copy"):
        source.check()


class Packet:
    def __init__(self, pts: int, key: bool = False, corrupt: bool = False) -> None:
        self.pts, self.is_keyframe, self.is_corrupt, self.size = pts, key, corrupt, 1


class Frame:
    def __init__(self, pts: int, corrupt: bool = False) -> None:
        self.pts, self.is_corrupt = pts, corrupt


def trail(order: list[tuple[int, bool]], logged: tuple[int, ...] = (), missing: tuple[int, ...] = ()) -> Trail:
    """Packets (pts, key) in the file's order; at which an error is logged; which give no frame."""
    found = Trail.empty("h264")
    for pts, key in order:
        found.packet(Packet(pts, key), pts in logged)
    for pts in sorted(pts for pts, _ in order if pts not in missing):
        found.frame(Frame(pts))
    return found


ORDER = [(0, True), (2, False), (1, False), (3, True), (5, False), (4, False)]  # shown: I0 B1 P2 | I3 B4 P5


class TestTrail:
    def test_nothing(self) -> None:
        assert trail(ORDER).damage() == ()

    def test_a_logged_error_in_a_reference(self) -> None:
        """P2 is read before B1, which is made from it and shown before it."""
        assert trail(ORDER, logged=(2,)).damage() == (Damage(1, 3, LOGGED),)

    def test_in_a_key_frame(self) -> None:
        assert trail(ORDER, logged=(3,)).damage() == (Damage(3, 6, LOGGED),)

    def test_frames_shown_before_a_key_frame_and_read_after_it(self) -> None:
        """An open group: B2 and B3 come behind key frame 4 in the file, and are made from what is before, too."""
        order = [(0, True), (1, False), (4, True), (2, False), (3, False)]
        assert trail(order, logged=(1,)).damage() == (Damage(1, 4, LOGGED),)

    def test_a_missing_frame_moves_all_behind_it(self) -> None:
        assert trail(ORDER, missing=(4,)).damage() == (Damage(4, 5, MISSING),)
        assert trail(ORDER, missing=(1,)).damage() == (Damage(1, 5, MISSING),)

    def test_a_marked_frame(self) -> None:
        found = trail(ORDER)
        found.corrupt = [1]
        assert found.damage() == (Damage(1, 3, CORRUPT),)

    def test_a_marked_packet(self) -> None:
        found = Trail.empty("h264")
        for pts in range(4):
            found.packet(Packet(pts, key=pts == 0, corrupt=pts == 2), False)
            found.frame(Frame(pts))
        assert found.damage() == (Damage(2, 4, CORRUPT),)

    def test_text(self) -> None:
        found = (Damage(3, 4, LOGGED), Damage(7, 12, CORRUPT))
        assert damage_text(found) == "frame 3 (the decoder logs errors), frames 7-11 (marked corrupt)"
        assert damage_within(found, 4, 7) == ()
        assert damage_within(found, 0, 8) == found


def test_closing_waits_for_no_thread_that_logs(tmp_path: Path) -> None:
    """A decoder's thread that logs wants Python's lock; closing must not hold it and wait for the thread."""
    path = write(tmp_path / "a.mkv", textured(8, 64, 48), "ffv1")
    for number in range(60):
        damaged = flipped(path, tmp_path / f"{number}.mkv", 40, number)
        assert open_frames(damaged).num_frames <= 8


def test_no_video_and_no_decoder(tmp_path: Path) -> None:
    path = write(tmp_path / "a.avi", textured(2, 64, 48), "mpeg4")
    data = path.read_bytes()
    for old, new, said in ((b"vids", b"auds", "no pictures in it"), (b"FMP4", b"QQQQ", "does not know")):
        path.write_bytes(data.replace(old, new))
        with pytest.raises(VideoError, match=said):
            open_frames(path)
