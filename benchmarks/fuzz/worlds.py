"""Small sound files of every other kind, written once: what the damaged ones are made from.

Layout: videos/, images/, pairs/, stored/, model/, run/, begun/, metrics/, studies/, lists/, corpora/, networks/.
"""

from __future__ import annotations

import io
import json
import shutil
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np

ONE_STEP = ("training.fusion.steps=1", "training.diffusion.steps=1", "training.fusion.validations=1")
ONE_STEP += ("training.diffusion.validations=1", "training.diffusion.ema=0.9", "sampling.steps=1")


def signgen(*words: object) -> None:
    """A command of this process; what it prints is kept away."""
    from signgen.cli import main

    sys.argv = ["signgen", *map(str, words)]
    with redirect_stdout(io.StringIO()):
        try:
            main()
        except SystemExit as end:
            if end.code:
                raise RuntimeError(f"signgen {words[0]} ended with {end.code}") from None


def write_worlds(root: Path) -> None:
    """All of them below `root`."""
    for write in (_clips, _videos, _images, _training, _metrics, _studies, _lists, _corpora, _networks):
        write(root)


def _clips(root: Path) -> None:
    from tests.worlds import write_world

    write_world(root / "clips", clips=1, frames=8)


def _videos(root: Path) -> None:
    from PIL import Image

    from signgen.video.writer import VideoWriter
    from tests.video.making import textured, turn, write

    folder, frames = root / "videos", textured(8, 48, 32)
    write(folder / "h264.mp4", frames, options={"g": "3"})
    turn(write(folder / "turned.mp4", frames), (0, 1, -1, 0))
    write(folder / "uneven.mkv", frames, times=[0, 0.1, 0.15, 0.3, 0.5, 0.9, 1, 1.04])
    write(folder / "mpeg4.avi", frames, "mpeg4")
    write(folder / "vp9.webm", frames, "libvpx-vp9")
    write(folder / "hdr.mkv", (frames.astype(np.uint16) << 8), "ffv1", pix_fmt="yuv420p10le", trc=16, primaries=9)
    write(folder / "intra.mov", frames, "mjpeg", pix_fmt="yuvj420p")
    write(folder / "old.mpg", frames, "mpeg2video")
    alpha = np.concatenate([frames, np.full((*frames.shape[:3], 1), 255, np.uint8)], -1)
    alpha[:, :8, :8, 3] = 0
    write(folder / "alpha.webm", alpha, "libvpx-vp9", pix_fmt="yuva420p")
    with VideoWriter(folder / "odd.mp4", 31, 47, 25) as writer:
        for frame in frames:
            writer.write(np.ascontiguousarray(frame[:, :31].repeat(2, 0)[:47]))
    pictures = [Image.fromarray(frame).quantize(32) for frame in frames]
    pictures[0].save(
        folder / "moving.gif", save_all=True, append_images=pictures[1:], duration=[40, 40, 80, 40, 40, 40, 40, 60]
    )


def _images(root: Path) -> None:
    from PIL import Image

    folder = root / "images"
    pixels = np.random.default_rng(0).integers(0, 255, (6, 8, 4)).repeat(4, 0).repeat(4, 1).astype(np.uint8)
    folder.mkdir()
    opaque, clear = Image.fromarray(pixels[..., :3]), Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = 6
    opaque.save(folder / "plain.png")
    clear.save(folder / "clear.png")
    opaque.quantize(16).save(folder / "palette.png", transparency=3)
    opaque.save(folder / "turned.jpg", exif=exif)
    clear.save(folder / "clear.webp")
    opaque.save(folder / "lossy.webp", quality=60)
    opaque.save(folder / "plain.bmp")
    opaque.save(folder / "lzw.tif", compression="tiff_lzw")
    clear.save(folder / "clear.tiff")
    for number in range(1, 4):
        frames = folder / "frames"
        frames.mkdir(exist_ok=True)
        opaque.save(frames / f"images{number:04d}.png")


def _training(root: Path) -> None:
    from tests.tiny import TINY, tiny_recipe

    clips = root / "clips"
    signgen("build-pairs", clips, "--out", root / "pairs", "--holdout-tail", "0.25", "--count", "12")
    signgen("build-pairs", clips, "--out", root / "stored", "--store", "--holdout-tail", "0.25", "--count", "12")
    options = [word for value in (*TINY, *ONE_STEP) for word in ("--set", value)]
    run = root / "run"
    signgen("train", root / "pairs", "--config", "nano", "--out", run, "--device", "cpu", *options)
    shutil.copytree(run / "model", root / "model")
    for name in ("samples", "logs/tensorboard", "model"):
        shutil.rmtree(run / name)
    shutil.copytree(run, root / "begun")  # stage 1 was interrupted
    shutil.rmtree(root / "begun" / "fusion")
    (root / "recipes").mkdir()
    (root / "recipes" / "tiny.yaml").write_text(tiny_recipe(*ONE_STEP).to_yaml())
    (root / "recipes" / "based.yaml").write_text("extends: nano\nseed: 3\ntraining:\n  fusion: {steps: 1}\n")
    shutil.copytree(root / "pairs" / "cache", root / "banks")


def _metrics(root: Path) -> None:
    clip = root / "clips" / "clip0.mp4"
    folder = root / "metrics"
    signgen("evaluate", clip, clip, "--poses", root / "clips" / "clip0.mmpose.json", "--out", folder / "clip")
    images = root / "set"
    for name in ("a.png", "b.png"):
        (images).mkdir(exist_ok=True)
        shutil.copy(root / "images" / "plain.png", images / name)
    signgen("evaluate-images", images, images, "--protocol", "strict", "--out", folder / "images")
    for kind in ("clip", "images"):
        for path in (folder / kind).iterdir():
            if path.name != "metrics.json":
                path.unlink()


def _studies(root: Path) -> None:
    from tests.study.worlds import answers_of, key_of, save, write_images

    pictures, study = root / "pictures", root / "studies" / "study"
    write_images(pictures, 6, 8)
    runs = [f"{name}={pictures / name}" for name in ("good", "poor")]
    signgen("study", "build", *runs, "--truth", pictures / "truth", "--out", study, "--raters", "2", "--checks", "1")
    for rater in (1, 2):
        save(answers_of(key_of(study), rater), study / "answers")
    for path in study.iterdir():
        if path.name not in ("key.json", "answers"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    from signgen.study.texts import own_texts

    (root / "studies" / "texts.yaml").write_text(own_texts())


def _lists(root: Path) -> None:
    from tests.corpora.person_corpora import TRAIN, write_csv, write_json, write_text

    folder = root / "lists"
    folder.mkdir()
    write_json(folder / "train.json", TRAIN)
    write_csv(folder / "train.csv", TRAIN)
    write_text(folder / "train.txt", TRAIN)
    texts = root / "texts"
    texts.mkdir()
    (texts / "plain.txt").write_text("heute regen\nmorgen sonne im süden\n\nwind\n".replace("\n\n", "\nnebel\n"))
    (texts / "named.csv").write_text('name,text\na,heute regen\nb,"morgen, sonne"\nc,wind\n')
    (texts / "phoenix.csv").write_text(
        'name|speaker|orth|translation\na|S1|REGEN|heute regen\nb|S2|SONNE|so "ist" es\n'
    )
    (texts / "named.json").write_text(json.dumps({"a": "heute regen", "b": "morgen sonne"}))
    (root / "pairing.csv").write_text("clip,video,keypoints,person,camera\nclip0,clip0.mp4,clip0.mmpose.json,,\n")
    (root / "demo.json").write_text(json.dumps({"signers": 2, "clips": 2, "frames": 8, "minutes": 1.0, "seed": 0}))


def _corpora(root: Path) -> None:
    from tests.corpora.corpora import write_phoenix
    from tests.corpora.person_corpora import write_deepfashion, write_market

    write_phoenix(root / "phoenix", {"train": ["a", "b"], "dev": ["c"]}, frames=2, size=(10, 12))
    for suffix in (".json", ".csv", ".txt"):
        write_deepfashion(root / f"deepfashion{suffix}", suffix)
    write_market(root / "market")


def _networks(root: Path) -> None:
    import torch

    folder = root / "networks"
    folder.mkdir()
    weights: dict[str, Any] = {"features.0.weight": torch.zeros(4, 3), "features.0.bias": torch.zeros(4)}
    torch.save(weights, folder / "new.pth")
    torch.save(weights, folder / "old.pth", _use_new_zipfile_serialization=False)
    try:
        from tests.poses.estimating import write_model

        write_model(folder / "pose.onnx", 24, 32)
    except ImportError:
        print("no networks in ONNX: the package onnx is not installed")
