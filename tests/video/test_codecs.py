"""Every codec in every file that may hold it: pixels, times, shape of pixels, the same bytes, and segments joined."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from signgen.errors import OptionError, SigngenError, VideoError
from signgen.video.codecs import CODECS, check_encoder, check_suffix
from signgen.video.reader import open_frames
from signgen.video.writer import VideoWriter

CASES = [(name, suffix) for name, codec in CODECS.items() for suffix in codec.suffixes if name != "nvenc"]
FFMPEG = {"h264": "h264", "h265": "hevc", "av1": "av1", "vp9": "vp9", "prores": "prores"}
COUNT = 12


def frames(width: int = 71, height: int = 58) -> np.ndarray:
    """A soft pattern that moves, uint8 (COUNT, height, width, 3); smooth, so that every codec keeps it."""
    y, x = np.mgrid[:height, :width] / 12
    waves = [np.stack([np.sin(x + t / 3), np.cos(y - t / 4), np.sin(x + y + t / 5)], -1) for t in range(COUNT)]
    return (127 + 90 * np.stack(waves)).astype(np.uint8)


def write(path: Path, codec: str, pictures: np.ndarray, aspect: Fraction = Fraction(1), **more: object) -> Path:
    height, width = pictures.shape[1:3]
    with VideoWriter(path, width, height, 25, aspect, codec=codec, **more) as writer:  # type: ignore[arg-type]
        for picture in pictures:
            writer.write(picture)
    return path


def join(path: Path, codec: str, parts: list[Path], aspect: Fraction = Fraction(1), **more: object) -> Path:
    first = open_frames(parts[0])
    with VideoWriter(path, first.width, first.height, 25, aspect, codec=codec, **more) as writer:  # type: ignore[arg-type]
        for part in parts:
            writer.append(part)
    return path


@pytest.fixture(autouse=True)
def encoder(request: pytest.FixtureRequest) -> None:
    name = request.node.callspec.params.get("name") if hasattr(request.node, "callspec") else None
    if name is not None:
        try:
            check_encoder(name)
        except OptionError as error:
            pytest.skip(str(error))


@pytest.mark.parametrize(("name", "suffix"), CASES)
def test_pixels_and_what_the_file_says_come_back(name: str, suffix: str, tmp_path: Path) -> None:
    pictures, said = frames(), "made here"
    path = write(tmp_path / f"o{suffix}", name, pictures, description=said)
    found = open_frames(path)
    assert (found.num_frames, found.width, found.height) == (COUNT, 71, 58)
    assert found.codec is not None
    assert FFMPEG[name] in found.codec  # of AV1 FFmpeg names the decoder
    assert np.abs(found.read().astype(int) - pictures).mean() < 3
    with av.open(str(path)) as container:
        told = {key.lower(): value for key, value in container.metadata.items()}
        assert (told["description"], told["comment"]) == (said, "signgen:size=71x58")
        assert container.streams.video[0].average_rate == 25


@pytest.mark.parametrize(("name", "suffix"), CASES)
def test_joined_segments_are_the_segments_frame_by_frame(name: str, suffix: str, tmp_path: Path) -> None:
    """One of a single frame among them, whose packets come without delay; even and uneven times; 13:15."""
    pictures, held = frames(), ".mp4" if suffix == ".webm" else suffix
    aspect = Fraction(1) if suffix == ".webm" else Fraction(13, 15)
    cuts = [slice(0, 6), slice(6, 7), slice(7, 12)]
    parts = [write(tmp_path / f"{c.start}{held}", name, pictures[c], aspect) for c in cuts]
    expected = np.concatenate([open_frames(part).read() for part in parts])
    even = open_frames(join(tmp_path / f"even{suffix}", name, parts, aspect))
    np.testing.assert_array_equal(even.read(), expected)
    assert (even.times, even.fps) == (None, 25)
    assert even.sample_aspect == (None if suffix == ".webm" else aspect) or aspect == 1
    times = np.cumsum([0.0, *[0.04, 0.12, 0.02] * 3, 0.04, 0.04])
    uneven = open_frames(join(tmp_path / f"uneven{suffix}", name, parts, aspect, times=times))
    np.testing.assert_array_equal(uneven.read(), expected)
    assert uneven.times is not None
    np.testing.assert_allclose(uneven.times, times, atol=0.001)


@pytest.mark.parametrize(("name", "suffix"), CASES)
def test_the_same_frames_give_the_same_bytes(name: str, suffix: str, tmp_path: Path) -> None:
    """On one core as on all of them, in another process: encoders have threads."""
    pictures = frames()
    np.save(tmp_path / "frames.npy", pictures)
    whole = write(tmp_path / f"a{suffix}", name, pictures).read_bytes()
    code = f"""
import os, numpy as np
from pathlib import Path
os.sched_setaffinity(0, {{min(os.sched_getaffinity(0))}})
from tests.video.test_codecs import write
write(Path({str(tmp_path / f"b{suffix}")!r}), {name!r}, np.load({str(tmp_path / "frames.npy")!r}))
"""
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system has no affinity")
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=Path(__file__).parents[2])
    assert (tmp_path / f"b{suffix}").read_bytes() == whole


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CODECS if name != "nvenc"])
def test_the_same_bytes_of_a_larger_picture_again_and_again(name: str, tmp_path: Path) -> None:
    """Where threads have something to do: x264's mbtree gives other bytes in some of such runs."""
    pictures = np.concatenate([frames(480, 352)] * 4)
    suffix = CODECS[name].suffixes[0]
    assert len({write(tmp_path / f"{n}{suffix}", name, pictures).read_bytes() for n in range(12)}) == 1


def test_h265_is_tagged_for_quicktime(tmp_path: Path) -> None:
    path = write(tmp_path / "o.mp4", "h265", frames())
    for file in (path, join(tmp_path / "j.mp4", "h265", [path])):
        with av.open(str(file)) as container:
            assert container.streams.video[0].codec_context.codec_tag == "hvc1"
        data = file.read_bytes()
        assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize(
    ("out", "codec", "aspect", "line"),
    [
        ("o.webm", "h264", 1, "--codec av1 or vp9"),
        ("o.mp4", "prores", 1, ".mov for --codec prores"),
        ("o.mov", "av1", 1, ".mp4 or .webm"),
        ("o.avi", "h264", 1, "ends in .mp4"),
        ("o.webm", "vp9", Fraction(13, 15), "13:15"),
    ],
)
def test_a_name_that_does_not_fit_is_one_line(out: str, codec: str, aspect: Fraction, line: str) -> None:
    with pytest.raises(SigngenError, match=r".") as raised:
        check_suffix(Path(out), codec, Fraction(aspect))
    assert line in str(raised.value)


def test_what_this_machine_does_not_write_is_said() -> None:
    with pytest.raises(OptionError, match="unknown codec 'mpeg2'; expected one of h264"):
        check_encoder("mpeg2")
    if Path("/dev/nvidiactl").exists():
        pytest.skip("a card that may have an encoder")
    with pytest.raises(OptionError, match=r"--codec nvenc cannot be opened .*an NVIDIA card"):
        check_encoder("nvenc")


def test_a_segment_without_frames_is_refused(tmp_path: Path) -> None:
    """As a full disk may leave it."""
    part = write(tmp_path / "p.mp4", "h264", frames())
    (tmp_path / "q.mp4").write_bytes(part.read_bytes()[:200])
    (tmp_path / "r.mp4").write_bytes(b"nothing")
    for name, found in (("q", "holds no video"), ("r", "cannot be read")):
        with pytest.raises(VideoError, match=rf"{name}\.mp4: {found}"):
            join(tmp_path / "o.mp4", "h264", [part, tmp_path / f"{name}.mp4"])
    assert not (tmp_path / "o.mp4").exists()


def test_a_file_of_an_unknown_kind_is_refused_by_the_writer(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"expected one of \.mp4"):
        VideoWriter(tmp_path / "o.mkv", 16, 16, 25)
