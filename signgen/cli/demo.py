"""`signgen demo`: nothing in; synthetic signers, a trained nano, three rendered clips and their scores out.

Every step is a `signgen` command that is printed before it runs; a step whose result is there is not run again.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from signgen.console import console
from signgen.errors import Interrupted, SigngenError

COLUMNS = ("ssim", "psnr", "hand_ssim", "hand_psnr", "face_ssim")
SETTINGS = "demo.json"
FRAME = "210x260"  # what `synthesize` draws, and its keypoint files do not say
FPS = 25


@dataclass(frozen=True)
class Size:
    """How much is drawn, and how long is trained."""

    signers: int
    clips: int
    frames: int
    minutes: float


FULL, QUICK = Size(signers=12, clips=1, frames=100, minutes=8.0), Size(signers=2, clips=1, frames=16, minutes=0.3)


@dataclass(frozen=True)
class Case:
    """One rendered clip: the truth's frames, of which the first is the source, and whose poses drive it.

    like: where the poses are another person's, a training clip of the source's person, to retarget them to.
    """

    name: str
    what: str
    frames: Path
    poses: str
    like: str | None = None


@dataclass(frozen=True)
class Step:
    """A command, and the file that shows that it is done. partial: what an interrupted one leaves and cannot use."""

    words: tuple[object, ...]
    result: Path
    partial: Path | None = None


def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything.", show_default=False)],
    quick: Annotated[bool, typer.Option("--quick", help="Small, under two minutes; its scores mean nothing.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Other signers, other motions.")] = 0,
    minutes: Annotated[
        float | None, typer.Option(min=0.05, help="Time for training.", show_default="8, with --quick 0.3")
    ] = None,
) -> None:
    """Show everything on signers who do not exist: draw them, build pairs, train nano, render, evaluate.

    Three clips are rendered that were not trained on: of a signer seen in training, of one never seen, and of a seen
    signer driven by another one's retargeted poses. Interrupted, the same command goes on.
    """
    size = QUICK if quick else FULL
    size = size if minutes is None else Size(size.signers, size.clips, size.frames, minutes)
    began = time.monotonic()
    _settings(out, {**asdict(size), "seed": seed})
    for step in _preparation(out, size, seed):
        _run(step)
    cases = _cases(out / "corpus")
    for case in cases:
        for step in _rendering(out, case):
            _run(step)
    _show(out, cases, time.monotonic() - began)


def _settings(out: Path, settings: dict[str, Any]) -> None:
    """Remember what is made here; a folder of another demo is refused."""
    from signgen.files import read_json, write_json

    path = out / SETTINGS
    try:
        kept = read_json(path) if path.exists() else settings
    except (OSError, ValueError) as error:
        raise SigngenError(f"{path}: damaged ({error})", fix="choose another --out, or delete that folder") from error
    if kept != settings:
        raise SigngenError(f"{path}: a demo with other settings", fix="choose another --out, or delete that folder")
    write_json(path, settings)


def _preparation(out: Path, size: Size, seed: int) -> list[Step]:
    """Data, pairs, model."""
    corpus, pairs, run = out / "corpus", out / "pairs", out / "run"
    drawn = ("--signers", size.signers, "--clips", size.clips, "--frames", size.frames, "--seed", seed, "--gaps", 0.3)
    train = ("train", pairs, "--config", "nano", "--out", run, "--max-minutes", size.minutes)
    return [
        Step(("synthesize", corpus, *drawn, "--cross"), corpus / "cross" / "keypoints" / "Phoenix-2014T.test", corpus),
        Step(
            ("build-pairs", corpus, "--keypoints", corpus / "keypoints", "--out", pairs, "--clean"), pairs / "meta.json"
        ),
        Step((*train, *(("--resume",) if (run / "recipe.yaml").exists() else ())), run / "model" / "signgen.json"),
    ]


def _cases(corpus: Path) -> list[Case]:
    """The first test clip, the clip of the signer who is in the test split only, and the first one performed by
    another signer."""
    from signgen.synthetic import frame_folders, signer_of

    test, cross = frame_folders(corpus, "test"), frame_folders(corpus / "cross", "test")
    seen, unseen, other = test[0], test[-1], cross[0]
    like = next(clip for clip in frame_folders(corpus, "train") if signer_of(clip.name) == signer_of(other.name))
    return [
        Case("seen", "a signer seen in training, a clip that was not", seen, seen.name),
        Case("unseen", "a signer never seen", unseen, unseen.name),
        Case("crossed", "poses of one signer on another", other, seen.name, like.name),
    ]


def _rendering(out: Path, case: Case) -> list[Step]:
    """Render with the first frame of the truth as the source, and score where hands and face of the truth are."""
    keypoints = out / "corpus" / "keypoints"
    own = keypoints / "Phoenix-2014T.test"
    video, report = out / f"{case.name}.mp4", out / f"{case.name}-report"
    steps: list[Step] = []
    poses: tuple[object, ...] = (own, "--clip", case.poses)
    source: tuple[object, ...] = ("--truth", case.frames, "--side-by-side")
    if case.like:
        own, fitted = out / "corpus" / "cross" / "keypoints" / "Phoenix-2014T.test", out / f"{case.name}.poses.npz"
        person = ("--to", keypoints / "Phoenix-2014T.train", "--to-clip", case.like, "--to-size", FRAME)
        words = ("poses", "retarget", *poses, "--size", FRAME, "--fps", FPS, *person)
        steps.append(Step((*words, fitted), fitted))
        poses, source = (fitted,), (*source, "--source-poses", own)
    render = ("render", case.frames, *poses, "--model", out / "run" / "model", "--out", video, "--clean")
    evaluate = ("evaluate", video, case.frames, "--poses", own, "--clip", case.frames.name, "--pairs", out / "pairs")
    return [
        *steps,
        Step((*render, *source), out / f"{case.name}.metrics.json"),
        Step((*evaluate, "--out", report), report / "metrics.json"),
    ]


def _run(step: Step) -> None:
    """Print the command and run it, unless its result is there."""
    words = [str(word) for word in step.words]
    console.print(f"\n[bold]$ signgen {shlex.join(words)}[/]", highlight=False)
    if step.result.exists():
        console.print("is done")
        return
    if step.partial is not None:
        shutil.rmtree(step.partial, ignore_errors=True)
    process = subprocess.Popen([sys.executable, "-m", "signgen", *words])
    try:
        code = process.wait()
    except KeyboardInterrupt:  # the command has had the same Ctrl-C, and saves what it has
        process.wait()
        code = Interrupted.exit_code
    if code == Interrupted.exit_code:
        raise Interrupted("the demo is not finished", fix="the same command goes on from there")
    if code or not step.result.exists():
        raise SigngenError(f"signgen {words[0]} ended with exit code {code}", fix="its last line says why")


def _show(out: Path, cases: list[Case], seconds: float) -> None:
    """The table, on the screen and as out/table.md; then where things are."""
    from rich import box
    from rich.table import Table

    from signgen.files import read_json, write_text

    rows = [row for case in cases for row in _rows(case, read_json(_report(out, case)))]
    head = ("clip", "who", *COLUMNS)
    table = Table(*head, box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    lines = [f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows)]
    write_text(out / "table.md", "\n".join(lines) + "\n")
    for case in cases:
        videos = f"{out / case.name}.mp4, {out / case.name}.side-by-side.mp4"
        console.print(f"{case.name}: {case.what}: {videos}; scores: {_report(out, case)}")
    console.print(f"table: {out / 'table.md'}; model: {out / 'run' / 'model'}; {seconds / 60:.1f} minutes")


def _report(out: Path, case: Case) -> Path:
    return out / f"{case.name}-report" / "metrics.json"


def _rows(case: Case, result: dict[str, Any]) -> list[tuple[str, ...]]:
    """The model's row and those of the baselines."""
    return [
        (case.name, who, *("-" if (v := means.get(c)) is None else f"{v:.{2 if 'psnr' in c else 3}f}" for c in COLUMNS))
        for who, means in {"nano": result["mean"], **result["baselines"]}.items()
    ]
