"""What `signgen demo` does, step by step: sizes in; commands, and the files that show that they are done, out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from signgen.errors import SigngenError
from signgen.files import read_json, write_json

FRAME = "210x260"  # what `synthesize` draws, and its keypoint files do not say
FPS = 25
SETTINGS = "demo.json"


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


def preparation(out: Path, size: Size, seed: int) -> list[Step]:
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


def cases_of(corpus: Path) -> list[Case]:
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


def rendering(out: Path, case: Case) -> list[Step]:
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


def keep_settings(out: Path, settings: dict[str, Any]) -> None:
    """Remember what is made here; a folder of another demo is refused."""
    path = out / SETTINGS
    try:
        kept = read_json(path) if path.exists() else settings
    except (OSError, ValueError) as error:
        raise SigngenError(f"{path}: damaged ({error})", fix="choose another --out, or delete that folder") from error
    if kept != settings:
        raise SigngenError(f"{path}: a demo with other settings", fix="choose another --out, or delete that folder")
    write_json(path, settings)


def report_of(out: Path, case: Case) -> Path:
    """Where the case's scores are."""
    return out / f"{case.name}-report" / "metrics.json"


def score_rows(case: Case, report: Path, columns: Sequence[str]) -> list[tuple[str, ...]]:
    """The model's row and those of the baselines: case, who, and a text for each column."""
    from signgen.metrics.results import number_text  # with numpy, which `signgen --help` does without

    result = read_json(report)
    return [
        (case.name, who, *(number_text(name, means.get(name)) for name in columns))
        for who, means in {"nano": result["mean"], **result["baselines"]}.items()
    ]
