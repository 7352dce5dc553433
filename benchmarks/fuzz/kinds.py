"""Every kind of file that signgen reads: sound examples, how they are read, and how many of all inputs are of it."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from signgen.errors import SigngenError


class Wrong(Exception):
    """A violation, in words."""


class Enough(BaseException):
    """Ends a command whose reading is done."""


@dataclass(frozen=True)
class Place:
    """Where a reader works: the sound files, a folder for what it writes, and nothing else."""

    worlds: Path
    out: Path


Reader = Callable[[Path, Place], str]  # the damaged input -> "read" or "nothing"; raises SigngenError


@dataclass(frozen=True)
class Kind:
    """group: for --kinds. share: of all inputs. seeds: sound files, or folders of which the files that fit `pattern`
    are damaged. writes_in: the reader may change the input's folder: it is the command's --out. caches: what lies below
    the sound files and may grow: the cache of source banks that training keeps beside its pair set. asks: memory that
    an input asks for is what a user may ask for; the one line that refuses it is no violation."""

    group: str
    share: float
    seeds: tuple[Path, ...]
    read: Reader
    pattern: str = "*"
    writes_in: bool = False
    caches: str = ""
    asks: bool = False


def signgen(*words: object) -> str:
    """A command through its entry point. Raises its SigngenError where it ended in one line and code 2."""
    from signgen.cli import main

    sys.argv = ["signgen", *map(str, words)]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code, error = end.code or 0, end.__context__
    said = err.getvalue()
    if code in (0, 1):
        return "read"
    if code != 2 or said.count("\n") != 1 or not said.startswith("signgen: error: "):
        raise Wrong(f"code {code}, said {said[:300]!r}")
    if "cannot write" in said:
        raise Wrong(f"an input cannot be read, and it is said that {said[:200]!r}")
    raise error if isinstance(error, SigngenError) else SigngenError(said.strip())


def _keypoints(path: Path, place: Place) -> str:
    from signgen.poses import identify, read_poses

    file = identify(path)
    if file is None:
        return "nothing"
    for clip in (file.clips or [None])[:2]:
        poses = read_poses(path, clip=clip, size=(640, 360), fps=25.0)
        if poses.keypoints.shape != (file.frames[clip or ""], poses.layout.points, 3) or not poses.is_clean:
            raise Wrong(f"{poses.keypoints.shape} for {file.frames}, clean: {poses.is_clean}"[:200])
    return "read"


def _video(path: Path, place: Place) -> str:
    """All frames in order, one out of order, and again without counting."""
    from signgen.video.reader import open_frames

    source = open_frames(path)
    count = min(source.num_frames, 32)
    frames = source.read(0, count)
    if frames.shape != (count, source.height, source.width, 3):
        raise Wrong(f"{frames.shape}, {count} frames of {source.width}x{source.height} were promised")
    source.read(count - 1, count)
    open_frames(path, num_frames=count).read(0, 1)
    source.check()
    return "read"


def _video_command(path: Path, place: Place) -> str:
    return signgen("poses", "draw", place.worlds / "clips" / "clip0.mmpose.json", place.out / "o.mp4", "--over", path)


def _image(path: Path, place: Place) -> str:
    from signgen.video.headers import image_size
    from signgen.video.reader import open_frames, read_image, read_opaque

    with contextlib.suppress(SigngenError):
        read_opaque(path)
    refused = None
    for read in (image_size, read_image, lambda path: open_frames(path).read()):
        try:
            read(path)
        except SigngenError as error:
            refused = error
    if refused is not None:
        raise refused
    return "read"


def _frames(path: Path, place: Place) -> str:
    from signgen.video.reader import open_frames

    open_frames(path).read()
    return "read"


def _pair_set(path: Path, place: Place) -> str:
    from signgen.pairs.pairset import PairSet

    pairs = PairSet.load(path)
    rows = {split: pairs.triples(split) for split in ("train", "val", "test")}
    for clip in pairs.clips[:3]:
        pairs.poses(clip.name)
        pairs.frames(clip.name).read(0, 1)
    for row in rows["train"][:2]:
        pairs.training_frames(pairs.clips[row["clip"]].name).pick(
            row[["source"]].astype([("source", int)])["source"][None]
        )
    return "read"


def _trained(*words: object) -> str:
    """`signgen train`, ended after its first step, or where there is nothing left to train."""
    from signgen.training.loop import Trainer
    from signgen.training.run import TrainingRun

    step, save = Trainer._step, TrainingRun._save

    def stepped(self: Any, *given: Any) -> None:
        step(self, *given)
        raise Enough

    def saved(*_: object) -> None:
        raise Enough

    Trainer._step, TrainingRun._save = stepped, saved
    try:
        return signgen("train", *words, "--device", "cpu")
    except Enough:
        return "read"
    finally:
        Trainer._step, TrainingRun._save = step, save


def _pair_set_command(path: Path, place: Place) -> str:
    return _trained(path, "--config", place.worlds / "recipes" / "tiny.yaml", "--out", place.out / "run")


def _resume(path: Path, place: Place) -> str:
    return _trained(place.worlds / "pairs", "--out", path, "--resume")


def _recipe(path: Path, place: Place) -> str:
    from signgen.config import load_recipe

    load_recipe(str(path))
    return "read"


def _recipe_command(path: Path, place: Place) -> str:
    return _trained(place.worlds / "pairs", "--config", path, "--out", place.out / "run")


def _model(path: Path, place: Place) -> str:
    video, poses = (place.worlds / "clips" / name for name in ("clip0.mp4", "clip0.mmpose.json"))
    words = ("--frames", "0:1", "--truth", "none", "--steps", "1", "--device", "cpu")
    return signgen("render", video, poses, "--model", path, "--out", place.out / "o.mp4", *words)


def _bank(path: Path, place: Place) -> str:
    """Banks are a cache: one that is damaged is nothing, and is built anew."""
    import numpy as np

    from signgen.poses import read_poses
    from signgen.warp.bank_file import read_bank

    sound = next((place.worlds / "banks").rglob(path.name.split(".", 1)[1]))
    keypoints = read_poses(place.worlds / "clips" / "clip0.mmpose.json", size=(64, 64)).keypoints[0]
    with np.load(sound) as stored:
        key = str(stored["key"])
    return "nothing" if read_bank(path, key, keypoints) is None else "read"


def _compare(path: Path, place: Place) -> str:
    return signgen("compare", path, place.worlds / "metrics" / path.name.split(".")[-1], "--out", place.out / "c")


def _study(path: Path, place: Place) -> str:
    return signgen("study", "score", path / "answers", "--out", place.out / "scores.json")


def _built(place: Place, runs: Path, *words: object) -> str:
    named = [f"{name}={runs / name}" for name in ("good", "poor")]
    amounts = ("--raters", "1", "--judgements", "4", "--choices", "2")
    return signgen("study", "build", *named, "--truth", runs / "truth", "--out", place.out / "s", *amounts, *words)


def _study_texts(path: Path, place: Place) -> str:
    return _built(place, place.worlds / "pictures", "--texts", path)


def _study_material(path: Path, place: Place) -> str:
    return _built(place, path)


def _texts(path: Path, place: Place) -> str:
    other = place.worlds / "texts" / f"{path.name.split('.')[1]}{path.suffix}"
    return signgen("evaluate-text", path, other, "--out", place.out)


def _pair_list(path: Path, place: Place) -> str:
    from signgen.corpora.person.pair_lists import is_pair_list, read_pair_list, read_rows

    is_pair_list(path)
    read_rows(path)
    read_pair_list(path)
    return "read"


def _corpus(path: Path, place: Place) -> str:
    return signgen("build-pairs", path, "--out", place.out / "pairs")


def _pairing(path: Path, place: Place) -> str:
    return signgen("build-pairs", place.worlds / "clips", "--pairing", path, "--out", place.out / "pairs")


def _verify(path: Path, place: Place) -> str:
    return signgen("verify", path, "--json", place.out / "found.json")


def _weights(path: Path, place: Place) -> str:
    from signgen.metrics.weights import WeightsFile

    WeightsFile("AlexNet", "alexnet.pth", "https://example.org").read(path)
    return "read"


def _onnx(path: Path, place: Place) -> str:
    import numpy as np

    from signgen.poses.estimators.simcc import SimccModel

    SimccModel(path).estimate(np.zeros((32, 24, 3), np.uint8))
    return "read"


def _demo(path: Path, place: Place) -> str:
    from signgen.evaluation.demo import SETTINGS, keep_settings

    shutil.copy(path, place.out / SETTINGS)
    keep_settings(place.out, json.loads((place.worlds / "demo.json").read_text()))
    return "read"


def all_kinds(worlds: Path, keypoints: dict[str, list[Path]]) -> dict[str, Kind]:
    """By name. worlds: what `write_worlds` wrote. keypoints: sound files by format."""
    kinds = {name: Kind("keypoints", 1.8, tuple(paths), _keypoints) for name, paths in sorted(keypoints.items())}

    def add(name: str, group: str, share: float, seeds: str, read: Reader, **options: Any) -> None:
        found = tuple(sorted(worlds.glob(seeds)))
        if found:
            kinds[name] = Kind(group, share, found, read, **options)

    for path in sorted((worlds / "videos").glob("*")):
        add(path.name, "videos", 1.6, f"videos/{path.name}", _video)
    add("video over poses", "videos", 1.5, "videos/*", _video_command)
    for suffix in ("png", "jpg", "webp", "bmp", "tif*"):
        add(suffix.strip("*"), "images", 1.8, f"images/*.{suffix}", _image)
    add("frame folder", "images", 1.8, "images/frames", _frames)
    add("pair set", "pairs", 2.5, "pairs", _pair_set, pattern="*[!z]")
    add("pair set's poses", "pairs", 1.5, "pairs", _pair_set, pattern="poses/*")
    add("store", "pairs", 2.0, "stored", _pair_set, pattern="store/*")
    add("pair set, train", "pairs", 1.5, "pairs", _pair_set_command, writes_in=True)
    add("source bank", "pairs", 1.5, "banks/banks/*/*/*.npz", _bank)
    add("model json", "models", 2.0, "model", _model, pattern="*.json")
    add("model weights", "models", 1.5, "model", _model, pattern="*.safetensors")
    add("run", "runs", 1.5, "run", _resume, writes_in=True, caches="pairs/cache")
    add("run, stage 1", "runs", 1.5, "begun", _resume, writes_in=True, caches="pairs/cache")
    add("metrics", "metrics", 2.5, "metrics/*", _compare)
    add("study", "studies", 2.5, "studies/study", _study)
    add("study texts", "studies", 1.5, "studies/texts.yaml", _study_texts)
    add("study material", "studies", 1.5, "pictures", _study_material)
    add("recipe", "recipes", 2.0, "recipes/*.yaml", _recipe)
    add("recipe, train", "recipes", 1.5, "recipes/tiny.yaml", _recipe_command, caches="pairs/cache", asks=True)
    add("texts", "lists", 2.0, "texts/*", _texts)
    add("pair list", "lists", 2.0, "lists/*", _pair_list)
    add("pair list, DeepFashion", "lists", 1.5, "deepfashion.*", _corpus, pattern="*_pairs.*")
    add("Market-1501", "lists", 1.5, "market", _corpus, pattern="*.csv")
    add("pairing", "lists", 1.5, "pairing.csv", _pairing)
    add("Phoenix CSV", "lists", 1.6, "phoenix/*", _verify, pattern="*.csv")
    add("metric weights", "networks", 1.5, "networks/*.pth", _weights, asks=True)
    add("onnx", "networks", 1.5, "networks/*.onnx", _onnx)
    add("demo settings", "networks", 1.5, "demo.json", _demo)
    return kinds
