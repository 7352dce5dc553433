"""The bash blocks of README and pages, run in order: at tiny size always, word for word among the slow tests.

A page's commands run in one folder. Most pages continue the README's: they get a copy of what that left behind, and a
command that was already run there is not run again.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from signgen.cli import main
from tests.conftest import ROOT
from tests.corpora.person_corpora import MAN, image, write_deepfashion, write_market
from tests.markdown import PAGES, blocks, commands
from tests.study.worlds import answers_of, key_of, save
from tests.tiny import set_options
from tests.worlds import figure_frames, figure_poses, write_mmpose, write_world

FRAMES = 96  # of hello.mp4: the pages speak of its held-out quarter, 72 to 95
SIZE = 64
README = PAGES[0]
WITH_COMMANDS = [page for page in PAGES if any(block.language == "bash" for block in blocks(page))]
# Drawing and training a corpus for a comparison of hours: at tiny size it shows nothing that training.md does not.
SLOW_ONLY = {"nano"}
# Nothing that comes later needs what these write: where two pages show the same command, it is run for one of them.
REPORT_ONLY = {"robustness", "evaluate-fusion"}
README_TIME = ["--max-minutes", "10"]
FEW_STEPS = ("training.fusion.steps=2", "training.diffusion.steps=2", "training.diffusion.validations=1")


# ---- running


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def call(folder: Path, words: list[str]) -> None:
    """`signgen WORDS` in this process, in that folder."""
    before = sys.argv
    sys.argv = ["signgen", *words]
    try:
        with inside(folder), pytest.raises(SystemExit) as end:
            main()
    finally:
        sys.argv = before
    assert not end.value.code, f"signgen {shlex.join(words)}: exit code {end.value.code}"


def tiny(words: list[str]) -> list[str]:
    """The command with small numbers; what it reads and writes stays the same."""
    if words[0] == "train":
        if "--max-minutes" in words:
            place = words.index("--max-minutes")
            timed = words[place : place + 2] == README_TIME  # timing takes twenty steps: once is enough
            words = [*words[:place], *(("--max-minutes", "0.01") if timed else ()), *words[place + 2 :]]
        words = [*words, *set_options(*FEW_STEPS), "--device", "cpu"]
    if words[0] == "train-posenet":
        if "--max-minutes" in words:
            place = words.index("--max-minutes")
            words = [*words[:place], *words[place + 2 :]]
        words = [*words, "--set", "training.steps=2", "--device", "cpu"]
    if words[0] == "robustness":
        words = [*words, "--noise", "0,2", "--shares", "0", "--sources", "0"]
    if words[0] == "synthesize":
        words = [*words, "--signers", "1", "--frames", "6", "--processes", "1"]
    return words


def run_page(folder: Path, page: Path, change: Callable[[list[str]], list[str]], done: list[list[str]]) -> None:
    """All bash blocks in order, without commands that are `done`; blocks with a title become files."""
    prepare = dict(PREPARED.get(page.stem, {}))
    for block in blocks(page):
        if block.title:
            (folder / block.title).write_text(block.text, encoding="utf-8")
        for words in commands(block) if block.language == "bash" else ():
            if words not in done:
                prepare.pop((words[0], words[1]), lambda _: None)(folder)
                call(folder, change(words))
            if words[0] in REPORT_ONLY:
                done.append(words)


def bash_commands(page: Path) -> list[list[str]]:
    return [words for block in blocks(page) if block.language == "bash" for words in commands(block)]


# ---- what pages ask the reader to have


def write_clip(folder: Path) -> None:
    """`clips/hello.mp4` and `clips/hello.json`, as the README asks for."""
    write_world(folder / "clips", clips=1, frames=FRAMES)
    for path in (folder / "clips").iterdir():
        path.rename(path.with_name(f"hello{path.suffix}"))


def write_png(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture[..., ::-1])


def other_person(folder: Path) -> None:
    """Keypoints of somebody else, and a picture of hello."""
    write_mmpose(figure_poses(16, phase=2), folder / "other.json")
    write_png(folder / "me.png", figure_frames(figure_poses(1))[0])


def two_sets(folder: Path) -> None:
    """`generated` and `test` of the same names, `train`; what somebody understood, and what was signed; keypoints of
    out.mp4."""
    frames = figure_frames(figure_poses(4, size=192))
    for number, frame in enumerate(frames):
        write_png(folder / "test" / f"{number}.png", frame)
        write_png(folder / "generated" / f"{number}.png", frame // 2)
        write_png(folder / "train" / f"{number}.png", frame)
    for name, text in (("understood", "heute regen"), ("references", "heute viel regen")):
        (folder / f"{name}.csv").write_text(f"name,text\nhello,{text}\n", encoding="utf-8")
    shutil.copy(folder / "clips" / "hello.json", folder / "out.json")


def phoenix(folder: Path) -> None:
    """The names that the page gives to corpus and keypoints lead to drawn ones, which its first command writes."""
    (folder / "PHOENIX-2014-T-release-v3").symlink_to(Path("corpus") / "PHOENIX-2014-T-release-v3")
    (folder / "KEYPOINTS").symlink_to(Path("corpus") / "keypoints")


def deepfashion(folder: Path) -> None:
    """A miniature of DeepFashion with FPDM's lists, and the page's SOURCE.jpg, SOURCE.txt, TARGET.txt."""
    root = write_deepfashion(folder / "DEEPFASHION")
    for split in ("train", "test"):
        (root / f"{split}_pairs.json").rename(root / f"{split}_pairs_data.json")
    for name, view in (("SOURCE", 0), ("TARGET", 2)):
        picture = root / image(MAN, view)
        shutil.copy(picture, folder / f"{name}.jpg")
        pose = Path(str(picture).replace("/img/", "/pose/")).with_suffix(".txt")
        shutil.copy(pose, folder / f"{name}.txt")


def market(folder: Path) -> None:
    write_market(folder / "MARKET")


def study_runs(folder: Path) -> None:
    """Pictures by two methods, real ones, and their sources."""
    for who in ("ours", "fpdm", "test", "sources"):
        for target in range(8):
            shade = sum(map(ord, who)) % 200
            write_png(folder / who / f"{target}.png", np.full((24, 24, 3), (shade, 8 * target, 90), np.uint8))


def study_answers(folder: Path) -> None:
    """What the browsers of four raters saved."""
    key = key_of(folder / "study")
    for rater in range(1, 5):
        save(answers_of(key, rater, answer=first_answer), folder / "study" / "answers")


def first_answer(trial: dict) -> str:
    return "0" if trial["kind"] == "best" else "real"


# Page -> what its folder needs at the beginning; pages that are not named here need nothing more.
WORLDS: dict[str, Callable[[Path], None]] = {
    "rendering": other_person,
    "keypoints": other_person,
    "evaluating": two_sets,
    "metrics": two_sets,
    "phoenix": phoenix,
    "deepfashion": deepfashion,
    "market1501": market,
    "study": study_runs,
}
# Page -> command -> what has to happen before it is first run.
PREPARED: dict[str, dict[tuple[str, ...], Callable[[Path], None]]] = {"study": {("study", "score"): study_answers}}
ON_THEIR_OWN = {"phoenix", "deepfashion", "market1501", "drawn_signers"}  # they do not continue the README


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The README's commands, at tiny size, and own_clip.md's rendering of the held-out quarter."""
    import torch

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("readme")
    write_clip(folder)
    run_page(folder, README, tiny, [])
    run_page(folder, ROOT / "docs" / "own_clip.md", tiny, bash_commands(README))
    return folder


def make_world(page: Path, folder: Path, finished: Path | None) -> None:
    if page.stem not in ON_THEIR_OWN and finished is not None:
        shutil.copytree(finished, folder, dirs_exist_ok=True)
    WORLDS.get(page.stem, lambda _: None)(folder)


def check_outputs(folder: Path, lossy: float) -> dict:
    """lossy: how far apart SSIM may be before and after the mp4."""
    video = cv2.VideoCapture(str(folder / "out.side-by-side.mp4"))
    assert (video.get(cv2.CAP_PROP_FRAME_COUNT), video.get(cv2.CAP_PROP_FRAME_WIDTH)) == (FRAMES, 4 * SIZE)
    for name in ("triples.parquet", "clips.parquet", "poses", "meta.json"):
        assert (folder / "pairs" / name).exists()
    for name in ("fusion", "model/signgen.json", "logs/tensorboard", "samples", "state", "recipe.yaml"):
        assert (folder / "run" / name).exists()
    report = json.loads((folder / "report" / "metrics.json").read_text())
    rendering = json.loads((folder / "out.metrics.json").read_text())
    for metrics in (report, rendering):
        assert {"protocol", "definitions", "frames", "mean", "baselines", "per_frame"} <= set(metrics)
        assert set(metrics["baselines"]) == {"copy-source", "nearest-pose"}
        assert metrics["frames"] == len(metrics["per_frame"]) == FRAMES
    # The report scores the mp4, which is lossy; the rendering scores its frames before that.
    assert report["mean"]["ssim"] == pytest.approx(rendering["mean"]["ssim"], abs=lossy)
    return rendering


def test_the_readme_at_tiny_size(finished: Path) -> None:
    check_outputs(finished, lossy=0.1)  # a handful of steps, and so noise, of which an mp4 keeps little
    assert json.loads((finished / "held_out" / "metrics.json").read_text())["frames"] == 24


FAST = [page for page in WITH_COMMANDS if page.stem not in SLOW_ONLY | {"README", "own_clip"}]


@pytest.mark.parametrize("page", FAST, ids=lambda page: page.stem)
def test_the_commands_of_a_page_at_tiny_size(page: Path, finished: Path, done: list[list[str]], tmp_path: Path) -> None:
    make_world(page, tmp_path, finished)
    run_page(tmp_path, page, tiny, [] if page.stem in ON_THEIR_OWN else done)


@pytest.fixture(scope="module")
def done() -> list[list[str]]:
    """Commands whose results are in the folders that continue the README, or are needed by nobody."""
    return bash_commands(README) + bash_commands(ROOT / "docs" / "own_clip.md")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_readme_word_for_word(tmp_path: Path) -> None:
    write_clip(tmp_path)
    run_page(tmp_path, README, list, [])
    metrics = check_outputs(tmp_path, lossy=0.03)
    assert metrics["mean"]["ssim"] > metrics["baselines"]["copy-source"]["ssim"]


TRAINING = [
    p for p in WITH_COMMANDS if any(w[0] == "train" for w in bash_commands(p)) and p.stem not in ("README", "own_clip")
]


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("page", TRAINING, ids=lambda page: page.stem)
def test_the_training_pages_word_for_word(page: Path, tmp_path: Path) -> None:
    """nano at its own size throughout; a page that continues the README trains that run first."""
    done: list[list[str]] = []
    if page.stem not in ON_THEIR_OWN:
        write_clip(tmp_path)
        done = bash_commands(README)
        run_page(tmp_path, README, list, [])
    make_world(page, tmp_path, None)
    run_page(tmp_path, page, list, done)
