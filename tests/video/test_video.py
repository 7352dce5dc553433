"""Frames in and out: counts that are true, decoders that agree, files that are whole or untouched."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import struct
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from signgen.errors import VideoError
from signgen.video import reader as video
from signgen.video.reader import open_frames, read_image, write_png
from signgen.video.writer import VideoWriter, exact_rate, sample_aspect


def ramp(frames: int, width: int, height: int) -> np.ndarray:
    """Smooth moving colours, uint8 (T, H, W, 3): codecs keep them."""
    t, y, x = np.meshgrid(np.arange(frames), np.arange(height), np.arange(width), indexing="ij")
    channels = (40 + 4 * t + x / width * 60, 60 + y / height * 120, 200 - 3 * t - x / width * 80)
    return np.stack(channels, -1).astype(np.uint8)


def encode(path: Path, codec: str, frames: np.ndarray, pix_fmt: str = "yuv420p") -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pix_fmt
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


class TestReading:
    @pytest.mark.parametrize(
        ("name", "codec", "pix_fmt"),
        [
            ("a.mp4", "libx264", "yuv420p"),
            ("a.mkv", "libx265", "yuv420p"),
            ("a.avi", "mpeg4", "yuv420p"),
            ("a.webm", "libvpx-vp9", "yuv420p"),
            ("av1.mp4", "libsvtav1", "yuv420p"),
            ("a.gif", "gif", "rgb8"),
        ],
    )
    def test_containers_and_codecs(self, tmp_path: Path, name: str, codec: str, pix_fmt: str) -> None:
        frames = ramp(12, 128, 96)
        source = open_frames(encode(tmp_path / name, codec, frames, pix_fmt))
        assert (source.num_frames, source.width, source.height) == (12, 128, 96)
        assert source.fps == pytest.approx(25, rel=0.01)
        assert np.abs(source.read(0, 12).astype(int) - frames).mean() < (25 if codec == "gif" else 6)
        np.testing.assert_array_equal(source.read(5, 7), source.read(0, 12)[5:7])

    def test_both_decoders_give_the_same_pixels(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("decord")
        path = encode(tmp_path / "a.mp4", "libx264", ramp(30, 128, 96))
        source = open_frames(path)
        np.testing.assert_array_equal(source.read(0, 4)[2:], source.read(2, 4))  # in order, then not
        first = source.read()
        assert isinstance(source._readers[os.getpid()], video._Decord)
        monkeypatch.setattr(video, "DECORD_CODECS", frozenset())
        source = open_frames(path)
        second = np.concatenate([source.read(20, 30), source.read(0, 20)])
        assert isinstance(source._readers[os.getpid()], video._PyAV)
        assert np.abs(first.astype(int) - np.roll(second, 20, 0)).max() <= 1

    def test_frames_that_decode_not_those_claimed(self, testdata: Path) -> None:
        source = open_frames(testdata / "signers/football.mp4")
        assert (source.num_frames, source.width, source.height) == (62, 640, 360)
        assert source.fps == pytest.approx(29.97)
        assert source.read().shape == (62, 360, 640, 3)

    def test_real_decoders_agree(self, testdata: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("decord")
        path = testdata / "signers/human_signer.mp4"
        first = open_frames(path).read(40, 60)
        monkeypatch.setattr(video, "DECORD_CODECS", frozenset())
        assert np.abs(open_frames(path).read(40, 60).astype(int) - first).max() <= 1

    @pytest.mark.parametrize(("degrees", "matrix"), [(90, (0, 1, -1, 0)), (180, (-1, 0, 0, -1)), (270, (0, -1, 1, 0))])
    def test_turned_cameras(self, tmp_path: Path, degrees: int, matrix: tuple[int, int, int, int]) -> None:
        """The track header's matrix (ISO 14496-12, 8.3.2) turns the picture; OpenCV follows it too."""
        path = encode(tmp_path / "a.mp4", "libx264", ramp(5, 128, 96))
        content = bytearray(path.read_bytes())
        a, b, c, d = matrix
        at = content.index(b"tkhd") + 4 + 4 + 20 + 16
        assert struct.unpack_from(">9i", content, at)[::4] == (1 << 16, 1 << 16, 1 << 30)
        struct.pack_into(">9i", content, at, a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
        path.write_bytes(content)
        source = open_frames(path)
        assert (source.width, source.height) == ((96, 128) if degrees != 180 else (128, 96))
        _, expected = cv2.VideoCapture(str(path)).read()
        frames = source.read(0, 5)
        assert frames.shape[1:] == expected.shape
        assert np.abs(frames[0].astype(int) - expected[..., ::-1]).mean() < 3
        assert np.abs(np.rot90(frames[0], 2).astype(int) - expected[..., ::-1]).mean() > 20

    def test_frames_at_uneven_times(self, tmp_path: Path) -> None:
        """Variable frame rate: every frame once, in order; the rate is the mean."""
        frames = ramp(10, 128, 96)
        with av.open(str(tmp_path / "a.mp4"), "w") as container:
            stream = container.add_stream("libx264", rate=30)
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt = "yuv420p"
            stream.codec_context.time_base = Fraction(1, 600)
            for frame, time in zip(frames, (0, 20, 40, 100, 120, 140, 160, 300, 320, 340), strict=True):
                picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
                picture.pts, picture.time_base = time, Fraction(1, 600)
                container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
        source = open_frames(tmp_path / "a.mp4")
        assert source.num_frames == 10
        assert source.fps == pytest.approx(10 / (360 / 600), rel=0.1)
        assert np.abs(source.read().astype(int) - frames).mean() < 6

    def test_a_known_number_of_frames_is_not_counted_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = encode(tmp_path / "a.mp4", "libx264", ramp(30, 128, 96))
        counted = open_frames(path)
        monkeypatch.setattr(video, "_probe", None)
        known = open_frames(path, 30)
        assert vars(known)["_probe"] == vars(counted)["_probe"]
        np.testing.assert_array_equal(known.read(), counted.read())
        for codecs in (video.DECORD_CODECS, frozenset()):
            monkeypatch.setattr(video, "DECORD_CODECS", codecs)
            with pytest.raises(VideoError, match="ends before frame 30"):
                open_frames(path, 40).read()

    @pytest.mark.parametrize("kind", ["decord", "pyav", "images"])
    def test_some_frames(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
        if kind == "images":
            for index, frame in enumerate(ramp(30, 128, 96)):
                write_png(tmp_path / "clip" / f"{index}.png", frame)
            path = tmp_path / "clip"
        else:
            path = encode(tmp_path / "a.mp4", "libx264", ramp(30, 128, 96))
            monkeypatch.setattr(video, "DECORD_CODECS", video.DECORD_CODECS if kind == "decord" else frozenset())
        every = open_frames(path).read()
        source = open_frames(path)
        for frames in ([0, 3, 4, 29], [2, 29], [0], [1]):  # the later ones go back
            assert np.abs(source.pick(np.array(frames)).astype(int) - every[frames]).max() <= (kind == "decord")
        for frames in ([-1, 3], [4, 30], []):
            with pytest.raises(VideoError, match="a part of 0:30"):
                source.pick(np.array(frames, int))

    def test_grey_and_deep_images(self, tmp_path: Path) -> None:
        picture = ramp(1, 16, 12)[0]
        grey = picture[..., 0]
        cv2.imwrite(str(tmp_path / "1.png"), grey)
        cv2.imwrite(str(tmp_path / "2.png"), np.dstack([picture[..., ::-1], np.full_like(grey, 255)]))
        cv2.imwrite(str(tmp_path / "3.png"), grey.astype(np.uint16) * 257)
        source = open_frames(tmp_path)
        np.testing.assert_array_equal(source.read(), [np.dstack([grey] * 3), picture, np.dstack([grey] * 3)])
        assert source.notes == ()

    def test_names_with_spaces_dots_and_unicode(self, tmp_path: Path) -> None:
        folder = tmp_path / "Gebärde 1.a" / ".." / "Gebärde 1.a"
        (tmp_path / "Gebärde 1.a").mkdir()
        write_png(folder / "тест.1.png", ramp(1, 16, 12)[0])
        path = encode(folder / "手 話.v1.mp4", "libx264", ramp(4, 128, 96))
        assert open_frames(path).num_frames == 4
        assert open_frames(folder).num_frames == 1

    def test_folder_in_natural_order_without_stray_files(self, tmp_path: Path) -> None:
        for number in (1, 2, 10):
            write_png(tmp_path / f"frame{number}.png", np.full((6, 8, 3), number, np.uint8))
        (tmp_path / "clip.lprof").write_text("stray")
        (tmp_path / ".hidden.png").write_text("stray")
        source = open_frames(tmp_path)
        assert (source.num_frames, source.width, source.height, source.fps) == (3, 8, 6, None)
        assert source.read()[:, 0, 0, 0].tolist() == [1, 2, 10]

    def test_phoenix_folder(self, testdata: Path) -> None:
        root = testdata / "phoenix/PHOENIX-2014-T-release-v3/PHOENIX-2014-T/features/fullFrame-210x260px"
        source = open_frames(root / "train/clip_b")
        assert (source.num_frames, source.width, source.height) == (97, 210, 260)
        np.testing.assert_array_equal(source.read(3, 4)[0], read_image(root / "train/clip_b/images0004.png"))

    def test_image(self, tmp_path: Path) -> None:
        picture = ramp(1, 16, 12)[0]
        write_png(tmp_path / "a.png", picture)
        source = open_frames(tmp_path / "a.png")
        assert source.num_frames == 1
        np.testing.assert_array_equal(source.read()[0], picture)

    @pytest.mark.parametrize("codecs", [video.DECORD_CODECS, frozenset()], ids=["decord", "PyAV"])
    def test_used_and_dropped_after_a_fork(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codecs: frozenset
    ) -> None:
        """A reader of the parent that is destroyed in a forked child would abort or hang it."""
        monkeypatch.setattr(video, "DECORD_CODECS", codecs)
        path = encode(tmp_path / "a.mp4", "libx264", ramp(20, 64, 64))
        sources = [open_frames(path) for _ in range(2)]
        here = [source.read(10, 12) for source in sources].pop()
        gc.collect()  # other tests' leftovers are not the matter here
        context = multiprocessing.get_context("fork")
        queue = context.Queue()

        def work() -> None:
            frames = sources.pop().read(10, 12)
            sources.clear()
            gc.collect()
            queue.put(frames)

        child = context.Process(target=work, daemon=True)
        child.start()
        child.join(60)
        assert child.exitcode == 0
        np.testing.assert_array_equal(queue.get(timeout=10), here)

    def test_pickled(self, tmp_path: Path) -> None:
        source = open_frames(encode(tmp_path / "a.mp4", "libx264", ramp(20, 64, 64)))
        here = source.read(10, 12)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(source)).read(10, 12), here)


class TestBadInput:
    def one_line(self, path: Path, named: str, num_frames: int | None = None) -> None:
        with pytest.raises(VideoError, match=named) as caught:
            open_frames(path, num_frames)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_missing_garbage_empty(self, tmp_path: Path) -> None:
        self.one_line(tmp_path / "no.mp4", "no such file")
        (tmp_path / "x.mp4").write_bytes(bytes(range(256)) * 20)
        self.one_line(tmp_path / "x.mp4", "not a video that can be decoded")
        self.one_line(tmp_path / "x.mp4", "not a video that can be decoded", num_frames=3)
        (tmp_path / "empty.mp4").write_bytes(b"")
        self.one_line(tmp_path / "empty.mp4", "not a video that can be decoded")
        (tmp_path / "folder").mkdir()
        self.one_line(tmp_path / "folder", "without images")
        (tmp_path / "x.png").write_bytes(b"\x89PNG....")
        self.one_line(tmp_path / "x.png", "not a readable image")

    @pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
    @pytest.mark.parametrize("index_first", [True, False])
    def test_truncated(self, tmp_path: Path, share: float, index_first: bool) -> None:
        noise = np.random.default_rng(0).integers(0, 255, (40, 64, 64, 3), dtype=np.uint8)
        path = tmp_path / "a.mp4"
        if index_first:
            with VideoWriter(path, 64, 64, 25) as writer:
                for frame in noise:
                    writer.write(frame)
        else:
            encode(path, "libx264", noise)
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])
        self.one_line(path, "truncated|breaks off|not a video")

    def test_audio_only(self, tmp_path: Path) -> None:
        path = tmp_path / "a.mp4"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("aac", rate=44100)
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
            frame.sample_rate = 44100
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        self.one_line(path, "not a video")

    def test_range_and_sizes(self, tmp_path: Path) -> None:
        write_png(tmp_path / "1.png", np.zeros((6, 8, 3), np.uint8))
        write_png(tmp_path / "2.png", np.zeros((6, 9, 3), np.uint8))
        source = open_frames(tmp_path)
        for start, stop in ((0, 3), (-1, 1), (1, 1)):
            with pytest.raises(VideoError, match="a part of 0:2"):
                source.read(start, stop)
        with pytest.raises(VideoError, match=r"2\.png: 9x6; expected 8x6"):
            source.read()


class TestWriting:
    @pytest.mark.parametrize(("width", "height"), [(128, 96), (127, 96), (128, 95), (127, 95)])
    def test_size_and_pixels(self, tmp_path: Path, width: int, height: int) -> None:
        frames = ramp(10, width, height)
        with VideoWriter(tmp_path / "new" / "o.mp4", width, height, 25) as writer:
            for frame in frames:
                writer.write(frame)
        source = open_frames(tmp_path / "new" / "o.mp4")
        assert (source.num_frames, source.width, source.height, source.fps) == (10, width, height, 25.0)
        assert np.abs(source.read().astype(int) - frames).mean() < 3
        assert [p.name for p in (tmp_path / "new").iterdir()] == ["o.mp4"]

    @pytest.mark.parametrize(
        ("fps", "rate"),
        [(25, Fraction(25)), (29.97, Fraction(30000, 1001)), (23.976, Fraction(24000, 1001)), (12.5, Fraction(25, 2))],
    )
    def test_rate(self, tmp_path: Path, fps: float, rate: Fraction) -> None:
        assert exact_rate(fps) == rate
        with VideoWriter(tmp_path / "o.mp4", 64, 64, fps) as writer:
            for frame in ramp(7, 64, 64):
                writer.write(frame)
        with av.open(str(tmp_path / "o.mp4")) as container:
            stream = container.streams.video[0]
            assert stream.average_rate == rate
            assert stream.frames == 7

    def test_phoenix_is_shown_as_210x300_and_the_index_comes_first(self, tmp_path: Path) -> None:
        path = tmp_path / "o.mp4"
        with VideoWriter(path, 210, 260, 25, sample_aspect(210, 260)) as writer:
            for frame in ramp(3, 210, 260):
                writer.write(frame)
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            assert stream.sample_aspect_ratio == Fraction(13, 15)
            assert stream.width * stream.sample_aspect_ratio / stream.height == Fraction(210, 300)
        data = path.read_bytes()
        assert data.index(b"moov") < data.index(b"mdat")
        assert sample_aspect(480, 480) == 1

    @pytest.mark.parametrize("failure", [KeyboardInterrupt, RuntimeError])
    def test_an_interrupt_keeps_the_old_file_and_the_part(self, tmp_path: Path, failure: type) -> None:
        path = tmp_path / "o.mp4"
        path.write_bytes(b"the old one")

        def interrupted() -> None:
            with VideoWriter(path, 64, 64, 25) as writer:
                for frame in ramp(4, 64, 64):
                    writer.write(frame)
                raise failure

        with pytest.raises(failure):
            interrupted()
        assert path.read_bytes() == b"the old one"
        assert open_frames(tmp_path / "o.partial.mp4").num_frames == 4
        assert sorted(p.name for p in tmp_path.iterdir()) == ["o.mp4", "o.partial.mp4"]

    def test_an_interrupt_before_the_first_frame_leaves_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(KeyboardInterrupt), VideoWriter(tmp_path / "o.mp4", 64, 64, 25):
            raise KeyboardInterrupt
        assert list(tmp_path.iterdir()) == []

    def test_no_frame_or_a_wrong_one(self, tmp_path: Path) -> None:
        with pytest.raises(VideoError, match="no frame"), VideoWriter(tmp_path / "o.mp4", 64, 64, 25):
            pass
        for frame in (np.zeros((64, 60, 3), np.uint8), np.zeros((64, 64, 3), np.float32)):
            with (
                pytest.raises(VideoError, match="expected uint8"),
                VideoWriter(tmp_path / "o.mp4", 64, 64, 25) as writer,
            ):
                writer.write(frame)
        assert list(tmp_path.iterdir()) == []

    def test_full_disk(self, tmp_path: Path) -> None:
        """A file-size limit in a child process stands for the full disk: OSError, and what was there stays."""
        path = tmp_path / "o.mp4"
        path.write_bytes(b"the old one")
        code = f"""
import errno, resource, signal, numpy as np
from pathlib import Path
from signgen.video.writer import VideoWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
noise = np.random.default_rng(0).integers(0, 255, (60, 128, 128, 3), dtype=np.uint8)
try:
    with VideoWriter(Path({str(path)!r}), 128, 128, 25) as writer:
        for frame in noise:
            writer.write(frame)
except OSError as error:
    assert error.errno == errno.EFBIG and {str(path)!r} in str(error), error
    print("refused")
"""
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
        assert "refused" in result.stdout, result.stderr
        assert path.read_bytes() == b"the old one"

    def test_png_round_trip(self, tmp_path: Path) -> None:
        picture = np.random.default_rng(0).integers(0, 255, (9, 7, 3), dtype=np.uint8)
        write_png(tmp_path / "deep" / "a.png", picture)
        np.testing.assert_array_equal(read_image(tmp_path / "deep" / "a.png"), picture)
