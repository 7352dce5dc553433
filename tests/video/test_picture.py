"""What a file says of its pictures: how they are shown, their colours, what is transparent, and odd sizes."""

from __future__ import annotations

import contextlib
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from signgen.errors import OptionError, VideoError
from signgen.video.background import border_colour, parse_background
from signgen.video.colour import HLG, PQ, TO_BT709, Colour, to_bt709
from signgen.video.display import Orientation, sample_aspect, true_size
from signgen.video.headers import image_size
from signgen.video.reader import open_frames, read_image, read_opaque, write_png
from signgen.video.writer import VideoWriter
from tests.video.making import ramp, turn, write

BT709, BT601, BT2020 = 1, 6, 9
LIMITED, FULL = 1, 2
BARS = np.array([(200, 60, 30), (40, 160, 70), (30, 50, 190), (128, 128, 128)], np.uint8)


def bars(frames: int = 3) -> np.ndarray:
    """Four upright bars of plain colours, uint8 (T, 64, 64, 3)."""
    return np.broadcast_to(BARS.repeat(16, 0)[None, None], (frames, 64, 64, 3)).copy()


class TestSampleAspect:
    def test_what_is_stated_is_kept_and_phoenix_has_13_15_where_nothing_is(self, tmp_path: Path) -> None:
        for name, size, stated in [("a", (72, 58), Fraction(128, 117)), ("b", (210, 260), Fraction(1, 1))]:
            path = write(tmp_path / f"{name}.mp4", ramp(3, *size), aspect=stated)
            source = open_frames(path)
            assert source.sample_aspect == stated
            assert sample_aspect(*size, source.sample_aspect) == stated
        plain = open_frames(write(tmp_path / "c.mp4", ramp(3, 210, 260)))
        assert plain.sample_aspect is None
        assert sample_aspect(210, 260, plain.sample_aspect) == Fraction(13, 15)
        assert sample_aspect(64, 64) == 1

    def test_of_turned_frames_it_is_turned(self, tmp_path: Path) -> None:
        path = turn(write(tmp_path / "a.mp4", ramp(3, 96, 64)), (0, 1, -1, 0))
        assert open_frames(path).sample_aspect is None
        assert Orientation(transposed=True).aspect(Fraction(4, 3)) == Fraction(3, 4)
        assert Orientation().aspect(Fraction(4, 3)) == Fraction(4, 3)


class TestDisplayMatrix:
    @pytest.mark.parametrize(
        ("matrix", "shown"),
        [
            ((-1, 0, 0, 1), lambda f: f[:, ::-1]),
            ((1, 0, 0, -1), lambda f: f[::-1]),
            ((-1, 0, 0, -1), lambda f: f[::-1, ::-1]),
            ((0, 1, -1, 0), lambda f: np.rot90(f, -1)),
            ((0, -1, 1, 0), lambda f: np.rot90(f, 1)),
            ((0, 1, 1, 0), lambda f: f.swapaxes(0, 1)),
            ((0, -1, -1, 0), lambda f: np.rot90(f, 2).swapaxes(0, 1)),
        ],
    )
    def test_rotation_and_mirror(self, tmp_path: Path, matrix: tuple[int, int, int, int], shown) -> None:
        frames = ramp(4, 96, 64)
        frames[:, :20, :30] = (250, 20, 20)  # a corner that tells
        source = open_frames(turn(write(tmp_path / "a.mp4", frames), matrix))
        expected = np.stack([shown(frame) for frame in frames])
        assert (source.height, source.width) == expected.shape[1:3]
        assert np.abs(source.read().astype(int) - expected).mean() < 6
        assert np.abs(source.pick(np.array([3])).astype(int) - expected[3:]).mean() < 6
        assert source.notes == ()

    def test_one_that_is_no_quarter_turn_is_said(self) -> None:
        half = int(0.7071 * 65536)
        orientation = Orientation.by_matrix(np.array([half, half, 0, -half, half, 0, 0, 0, 1 << 30], np.int32))
        assert "nearest" in orientation.note


class TestAlpha:
    @pytest.fixture
    def rgba(self) -> np.ndarray:
        """Opaque below; above transparent over magenta; between them half."""
        picture = np.dstack([ramp(1, 32, 40)[0], np.full((40, 32), 255, np.uint8)])
        picture[:20] = (255, 0, 255, 0)
        picture[20, :, 3] = 128
        return picture

    @pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif"])
    def test_images(self, tmp_path: Path, rgba: np.ndarray, name: str) -> None:
        Image.fromarray(rgba).save(tmp_path / name, **({"lossless": True, "exact": True} if name == "a.webp" else {}))
        source = open_frames(tmp_path / name)
        border = np.array(border_colour(rgba)[0])
        frame = source.read()[0]
        assert (frame[:20] == border).all()
        np.testing.assert_array_equal(frame[21:], rgba[21:, :, :3])
        assert np.abs(frame[20].astype(float) - (rgba[20, :, :3] * (128 / 255) + border * (127 / 255))).max() <= 1
        (note,) = source.notes
        assert "transparent: laid over #" in note
        np.testing.assert_array_equal(read_image(tmp_path / name), frame)
        green = open_frames(tmp_path / name, background=(0, 128, 0))
        assert (green.read()[0][:20] == (0, 128, 0)).all()
        assert "laid over #008000" in green.notes[0]

    def test_palette_with_transparency_and_nothing_opaque_at_the_border(self, tmp_path: Path) -> None:
        image = Image.new("P", (16, 16), 0)
        image.putpalette([255, 0, 255, 10, 20, 30])
        image.paste(1, (4, 4, 12, 12))
        image.save(tmp_path / "a.png", transparency=0)
        source = open_frames(tmp_path / "a.png")
        assert source.read()[0][0, 0].tolist() == [255, 255, 255]
        assert source.read()[0][8, 8].tolist() == [10, 20, 30]
        assert "no pixel of its border is opaque" in source.notes[0]

    def test_a_later_transparent_frame_is_no_guess(self, tmp_path: Path, rgba: np.ndarray) -> None:
        write_png(tmp_path / "1.png", rgba[..., :3])
        Image.fromarray(rgba).save(tmp_path / "2.png")
        with pytest.raises(VideoError, match=r"2\.png: transparent, .* --background"):
            open_frames(tmp_path).read()
        assert (open_frames(tmp_path, background=(1, 2, 3)).read()[1][0] == (1, 2, 3)).all()

    @pytest.mark.parametrize(
        ("name", "codec", "pix_fmt"),
        [("a.webm", "libvpx-vp9", "yuva420p"), ("a.mov", "png", "rgba"), ("a.mkv", "ffv1", "bgra")],
    )
    def test_videos(self, tmp_path: Path, name: str, codec: str, pix_fmt: str) -> None:
        """VP9's too, which FFmpeg's own decoder drops."""
        frames = np.concatenate([ramp(6, 64, 64), np.full((6, 64, 64, 1), 255, np.uint8)], -1)
        frames[:, :32] = (255, 0, 255, 0)
        source = open_frames(write(tmp_path / name, frames, codec, pix_fmt=pix_fmt))
        assert source.num_frames == 6
        shown = source.read()
        assert (shown[:, :28] == np.array(source.background)).all()
        assert np.abs(shown[:, 36:].astype(int) - frames[:, 36:, :, :3]).mean() < 6
        assert "transparent: laid over" in source.notes[0]
        np.testing.assert_array_equal(source.pick(np.array([1, 4])), shown[[1, 4]])

    def test_opaque_pictures_say_nothing(self, tmp_path: Path) -> None:
        frames = np.concatenate([ramp(4, 64, 64), np.full((4, 64, 64, 1), 255, np.uint8)], -1)
        assert open_frames(write(tmp_path / "a.mov", frames, "png", pix_fmt="rgba")).notes == ()

    @pytest.mark.parametrize(
        ("text", "colour"), [("white", (255, 255, 255)), ("#0a0B0c", (10, 11, 12)), ("border", None), (None, None)]
    )
    def test_names_of_colours(self, text: str | None, colour: tuple[int, int, int] | None) -> None:
        assert parse_background(text) == colour

    def test_no_colour(self) -> None:
        with pytest.raises(OptionError, match="--background 'purplish'; expected black, white"):
            parse_background("purplish")


class TestColour:
    @pytest.mark.parametrize("matrix", [BT709, BT601, BT2020])
    @pytest.mark.parametrize("color_range", [LIMITED, FULL])
    def test_matrix_and_range_of_the_file(self, tmp_path: Path, matrix: int, color_range: int) -> None:
        path = write(tmp_path / "a.mp4", bars(), options={"crf": "1"}, colorspace=matrix, color_range=color_range)
        source = open_frames(path)
        for frames in (source.read(), source.pick(np.array([1]))):  # both decoders
            assert np.abs(frames[0, 32, 8::16].astype(int) - BARS).max() <= 4

    @pytest.mark.parametrize(("codec", "pix_fmt"), [("libx264", "yuv420p10le"), ("libx265", "yuv420p10le")])
    def test_ten_bits(self, tmp_path: Path, codec: str, pix_fmt: str) -> None:
        source = open_frames(write(tmp_path / "a.mp4", ramp(4, 128, 96), codec, pix_fmt=pix_fmt))
        assert np.abs(source.read().astype(int) - ramp(4, 128, 96)).mean() < 6
        assert source.notes == ()

    @pytest.mark.parametrize(("transfer", "name"), [(PQ, "PQ"), (HLG, "HLG")])
    def test_high_dynamic_range(self, tmp_path: Path, transfer: int, name: str) -> None:
        """A grey wedge stays grey and rises; white of graphics, 203 cd/m², comes out bright, and dark stays dark."""
        wedge = (np.linspace(0, 1, 16) * 65535).astype(np.uint16).repeat(8)
        frames = np.broadcast_to(wedge[None, None, :, None], (3, 64, 128, 3)).copy()
        path = tmp_path / "a.mp4"
        options = {"x265-params": "log-level=none", "crf": "4"}
        write(path, frames, "libx265", pix_fmt="yuv420p10le", options=options, colorspace=9, trc=transfer, primaries=9)
        source = open_frames(path)
        assert f"{name} in BT.2020 is tone-mapped to BT.709" in source.notes[0]
        shown = source.read()[0, 32, 4::8].astype(int)
        assert np.ptp(shown, -1).max() <= 3
        assert (np.diff(shown[:, 1]) >= 0).all()
        expected = to_bt709(frames[0, 32:33, 4::8], Colour(transfer, 9, 10, False))[0]
        assert np.abs(shown - expected).max() <= 4

    def test_pq_by_the_formula(self) -> None:
        """Independent of the tables: light below the knee is kept, the peak becomes white."""

        def code(nits: float) -> int:
            m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
            power = (nits / 10000) ** m1
            return round(65535 * ((c1 + c2 * power) / (1 + c3 * power)) ** m2)

        nits = [0, 1, 10, 50, 90, 1000, 4000]
        grey = np.array([[[code(n)] * 3 for n in nits]], np.uint16)
        shown = to_bt709(grey, Colour(PQ, 1, 10, False))[0, :, 0].tolist()
        assert shown == pytest.approx([255 * min(n / 203, 1) ** (1 / 2.4) for n in nits], abs=1)
        white = to_bt709(np.full((1, 1, 3), code(203), np.uint16), Colour(PQ, 1, 10, False))
        assert 215 <= white[0, 0, 0] < 255

    def test_primaries(self) -> None:
        """BT.2087's matrix keeps white, and is the inverse of the one made of both sets of primaries."""
        np.testing.assert_allclose(TO_BT709.sum(1), 1, atol=2e-4)

        def to_xyz(primaries: list[tuple[float, float]]) -> np.ndarray:
            columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in primaries]).T
            white = np.array([0.3127 / 0.3290, 1, (1 - 0.3127 - 0.3290) / 0.3290])
            return columns * np.linalg.solve(columns, white)

        wide = to_xyz([(0.708, 0.292), (0.170, 0.797), (0.131, 0.046)])
        narrow = to_xyz([(0.640, 0.330), (0.300, 0.600), (0.150, 0.060)])
        np.testing.assert_allclose(TO_BT709, np.linalg.solve(narrow, wide), atol=2e-4)

    def test_wide_gamut_of_standard_range(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.mp4", bars(), pix_fmt="yuv420p10le", colorspace=9, primaries=9, trc=14)
        source = open_frames(path)
        assert "BT.2020's colours are brought to BT.709's" in source.notes[0]
        light = (BARS / 255.0) ** 2.4 @ TO_BT709.T
        expected = 255 * np.clip(light, 0, 1) ** (1 / 2.4)
        assert np.abs(source.read()[0, 32, 8::16] - expected).max() <= 8

    def test_outputs_are_tagged_with_what_they_were_converted_with(self, tmp_path: Path) -> None:
        with VideoWriter(tmp_path / "o.mp4", 64, 64, 25) as writer:
            for frame in bars():
                writer.write(frame)
        with av.open(str(tmp_path / "o.mp4")) as container:
            frame = next(container.decode(video=0))
            assert (int(frame.colorspace), int(frame.color_range)) == (BT601, LIMITED)
        assert np.abs(open_frames(tmp_path / "o.mp4").read()[0, 32, 8::16].astype(int) - BARS).max() <= 6


class TestOddSizes:
    @pytest.mark.parametrize(("width", "height"), [(65, 63), (64, 63), (65, 64)])
    def test_players_open_it_and_signgen_reads_the_true_size(self, tmp_path: Path, width: int, height: int) -> None:
        frames = ramp(5, width, height)
        path = tmp_path / "o.mp4"
        with VideoWriter(path, width, height, 25) as writer:
            for frame in frames:
                writer.write(frame)
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            assert (stream.codec_context.pix_fmt, stream.codec_context.profile) == ("yuv420p", "High")
            assert (stream.width, stream.height) == (width + width % 2, height + height % 2)
            assert container.metadata["comment"] == f"signgen:size={width}x{height}"
            whole = next(container.decode(video=0)).to_ndarray(format="rgb24").astype(int)
        assert np.abs(whole[:, -1] - whole[:, -2]).mean() < 3
        source = open_frames(path)
        assert (source.num_frames, source.width, source.height) == (5, width, height)
        assert np.abs(source.read().astype(int) - frames).mean() < 3
        np.testing.assert_array_equal(source.pick(np.array([2])), source.read(2, 3))
        assert f"cropped to {width}x{height}" in source.notes[0]
        assert (open_frames(path, 5).width, open_frames(path, 5).height) == (width, height)

    @pytest.mark.parametrize("comment", ["signgen:size=10x10", "signgen:size=64x64", "hello", ""])
    def test_a_comment_that_does_not_fit_is_not_believed(self, comment: str) -> None:
        assert true_size({"comment": comment}, 64, 64) is None

    def test_opencv_opens_it(self, tmp_path: Path) -> None:
        with VideoWriter(tmp_path / "o.mp4", 65, 63, 25) as writer:
            for frame in ramp(5, 65, 63):
                writer.write(frame)
        there, frame = cv2.VideoCapture(str(tmp_path / "o.mp4")).read()
        assert there
        assert frame.shape == (64, 66, 3)


def test_a_size_on_which_decord_fails(tmp_path: Path) -> None:
    """72x58, of which decord gives four channels."""
    source = open_frames(write(tmp_path / "a.mp4", ramp(8, 72, 58)))
    every = source.read()
    np.testing.assert_array_equal(source.read(3, 5), every[3:5])
    np.testing.assert_array_equal(source.pick(np.array([1, 6])), every[[1, 6]])


def test_scores_and_ratings_take_no_transparent_images(tmp_path: Path) -> None:
    picture = np.dstack([ramp(1, 32, 40)[0], np.full((40, 32), 255, np.uint8)])
    Image.fromarray(picture).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_opaque(tmp_path / "a.png"), picture[..., :3])
    picture[0, 0, 3] = 0
    Image.fromarray(picture).save(tmp_path / "a.png")
    with pytest.raises(VideoError, match=r"a\.png: transparent, .* expected opaque"):
        read_opaque(tmp_path / "a.png")


def declared(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it is so large."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )


class TestGiantSizes:
    """A header may say anything; memory is taken by what it says."""

    @pytest.mark.parametrize("size", [(60_000, 60_000), (2**31 - 1, 2**31 - 1), (9000, 9000)])
    def test_images(self, size: tuple[int, int], tmp_path: Path) -> None:
        path = tmp_path / "a.png"
        path.write_bytes(declared(*size))
        for read in (read_image, read_opaque, image_size, open_frames):
            with pytest.raises(VideoError, match=r"a\.png: "):
                read(path)

    def test_bmp_that_opencv_asserts_on(self, tmp_path: Path) -> None:
        path = tmp_path / "a.bmp"
        Image.new("RGB", (8, 8)).save(path)
        data = bytearray(path.read_bytes())
        struct.pack_into("<ii", data, 18, 8, 2**30)
        path.write_bytes(data)
        with pytest.raises(VideoError, match=r"a\.bmp"):
            read_image(path)

    def test_videos(self, tmp_path: Path) -> None:
        """A GIF whose screen is so large that its first frame alone would take 1.6 GB."""
        path = tmp_path / "a.gif"
        Image.new("P", (32, 16)).save(path)
        data = bytearray(path.read_bytes())
        struct.pack_into("<HH", data, 6, 20_000, 20_000)
        path.write_bytes(data)
        for open_ in (open_frames, lambda path: open_frames(path, 1)):
            with pytest.raises(VideoError, match=r"a\.gif: not a video that can be decoded"):
                open_(path)

    def test_a_frame_of_another_size(self, tmp_path: Path) -> None:
        """Every frame of MJPEG says its own size."""
        small, large = (
            write(tmp_path / f"{side}.avi", ramp(1, side, 16), "mjpeg", pix_fmt="yuvj420p") for side in (32, 48)
        )
        one, other = (path.read_bytes() for path in (small, large))
        joined = tmp_path / "a.mjpeg.avi"
        joined.write_bytes(frame_of(one) + frame_of(other))
        source = open_frames(joined)
        assert (source.num_frames, source.width) == (2, 32)
        with pytest.raises(VideoError, match="frame 1 is 48x16; expected 32x16 like the first"):
            source.read()


def frame_of(avi: bytes) -> bytes:
    """The JPEG in it; several in a row are raw MJPEG."""
    return avi[avi.index(b"\xff\xd8\xff") : avi.rindex(b"\xff\xd9") + 2]


def test_metadata_that_pillow_fails_on(tmp_path: Path) -> None:
    """An orientation tag that holds no number."""
    path = tmp_path / "a.tif"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGBA", (8, 8), (1, 2, 3, 4)).save(path, exif=exif)
    for at in range(0, path.stat().st_size, 3):
        data = bytearray(path.read_bytes())
        data[at] ^= 0xFF
        damaged = tmp_path / "b.tif"
        damaged.write_bytes(data)
        with contextlib.suppress(VideoError):
            read_image(damaged)


HEADS = (b"RIFF\0\0\0\0WEBPVP8X", b"RIFF\0\0\0\0WEBPVP8X\0\0\0", b"RIFF\0\0\0\0WEBP", b"\x89PNG\r\n\x1a\n")


@pytest.mark.parametrize("head", HEADS)
def test_an_image_that_ends_in_its_header_is_one_line(tmp_path: Path, head: bytes) -> None:
    (tmp_path / "a.webp").write_bytes(head)
    with pytest.raises(VideoError, match=r"a\.webp"):
        read_image(tmp_path / "a.webp")
