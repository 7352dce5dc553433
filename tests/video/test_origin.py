"""What a rendered file says of its making, written and read again."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from signgen.video.images import write_image
from signgen.video.origin import Origin, origin_of
from signgen.video.reader import open_frames, read_image, write_png
from signgen.video.writer import VideoWriter

ORIGIN = Origin(("mediapipe", "onnx:12ab"))


def picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (31, 47, 3), dtype=np.uint8)


def video(path: Path, text: str) -> Path:
    with VideoWriter(path, 47, 31, 25, description=text) as writer:
        for seed in range(3):
            writer.write(picture(seed))
    return path


def test_a_video_keeps_it_beside_its_true_size(tmp_path: Path) -> None:
    path = video(tmp_path / "o.mp4", ORIGIN.text())
    assert origin_of(path) == ORIGIN
    assert (open_frames(path).width, open_frames(path).height) == (47, 31)
    assert origin_of(video(tmp_path / "p.mp4", "")) is None
    assert origin_of(video(tmp_path / "q.mp4", Origin().text())) == Origin()


def test_a_remuxed_video_keeps_it(tmp_path: Path) -> None:
    path = video(tmp_path / "o.mp4", ORIGIN.text())
    with av.open(str(path)) as whole, av.open(str(tmp_path / "o.mkv"), "w") as copy:
        copy.metadata.update(whole.metadata)
        stream = copy.add_stream_from_template(whole.streams.video[0])
        for packet in whole.demux(whole.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)
    assert origin_of(tmp_path / "o.mkv") == ORIGIN


def test_a_png_keeps_it_and_its_pixels(tmp_path: Path) -> None:
    path = tmp_path / "o.png"
    write_png(path, picture(), ORIGIN.text())
    np.testing.assert_array_equal(read_image(path), picture())
    with Image.open(path) as opened:
        opened.load()
        assert opened.info["Description"] == ORIGIN.text()  # Pillow checks the chunk's checksum
    assert origin_of(path) == ORIGIN


def test_a_folder_says_what_any_of_its_images_says_if_all_say_something(tmp_path: Path) -> None:
    write_png(tmp_path / "f" / "1.png", picture(), Origin(("a",)).text())
    write_png(tmp_path / "f" / "2.png", picture(), Origin(("b", "a")).text())
    assert origin_of(tmp_path / "f") == Origin(("a", "b"))
    write_png(tmp_path / "f" / "3.png", picture())
    assert origin_of(tmp_path / "f") is None


FULL = Origin(("reds",), "nano", "12ab", "34cd", 7, "solver ddim, steps 2", "hello.mp4")


@pytest.mark.parametrize("name", ["o.mp4", "o.png", "o.webp"])
def test_all_that_is_said_comes_back(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if path.suffix == ".mp4":
        video(path, FULL.text())
    else:
        write_image(path, picture(), FULL.text())
        np.testing.assert_array_equal(read_image(path), picture())
    assert origin_of(path) == FULL
    told = "\n".join(FULL.lines())
    assert all(word in told for word in ("synthetic", "nano", "12ab", "34cd", "7", "ddim", "hello.mp4", "reds"))


def test_what_older_versions_wrote_is_read() -> None:
    text = 'signgen:origin={"synthetic": true, "signgen": "0.1.0", "pose_networks": ["reds"]}'
    assert Origin.parse(text) == Origin(("reds",), signgen="0.1.0")
    assert Origin(("reds",), signgen="0.1.0").lines()[0] == "synthetic: no camera saw it; rendered by signgen 0.1.0"


def test_a_folder_of_two_renderings_says_only_what_both_say(tmp_path: Path) -> None:
    write_image(tmp_path / "1.webp", picture(), FULL.text())
    assert origin_of(tmp_path) == FULL
    write_image(tmp_path / "2.webp", picture(), Origin((), "other").text())
    assert origin_of(tmp_path) == Origin(("reds",))


@pytest.mark.parametrize(
    "text", ["", "hello", "signgen:origin=", "signgen:origin={}", 'signgen:origin={"pose_networks": "a"}']
)
def test_other_texts_say_nothing(tmp_path: Path, text: str) -> None:
    assert Origin.parse(text) is None
    write_png(tmp_path / "o.png", picture(), text)
    assert origin_of(tmp_path / "o.png") is None
    Image.fromarray(picture()).save(tmp_path / "o.jpg")
    assert origin_of(tmp_path / "o.jpg") is None
