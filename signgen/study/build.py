"""What a study is to hold in; a folder with the page to publish and the key to keep out.

STUDY/site is all that raters get: which of its files are generated stands in STUDY/key.json alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from json import dumps
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from signgen.errors import StudyError
from signgen.evaluation.provenance import provenance
from signgen.files import make_folder, write_json, write_text
from signgen.progress import SILENT, Progress
from signgen.reporting.page import STYLE, write_page
from signgen.study.answers import ANSWERS_FORMAT, KEY_FILE, KEY_FORMAT, VERSION
from signgen.study.design import BEST, CHECK, REALISM, TRUTH, Amounts, RaterPlan, Trial, plans, sample_targets
from signgen.study.material import Target, Targets
from signgen.study.media import SOURCE, MediaFolder
from signgen.study.texts import own_texts

SITE, MEDIA, ANSWERS = "site", "media", "answers"
SECONDS = 3.0  # an image is shown, unless set otherwise; clips are shown whole


@dataclass(frozen=True)
class Look:
    """How things are shown. seconds: a picture of a realism trial; None: SECONDS, or the longest clip's.

    show_truth: beside the runs, when the best is chosen. size: (width, height) that all is brought to.
    """

    seconds: float | None = None
    image_format: str = "png"
    size: tuple[int, int] | None = None
    show_truth: bool = False


def refuse_existing(out: Path) -> None:
    """Raises StudyError where a study lies already: its answers could no longer be scored."""
    if (out / KEY_FILE).exists():
        raise StudyError(f"{out}: holds a study already, with the key to its answers", fix="choose another --out")


def build_study(
    found: Targets,
    runs: Mapping[str, Path],
    amounts: Amounts,
    look: Look,
    texts: Mapping[str, str],
    out: Path,
    seed: int,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Write the study below `out` and return its key."""
    refuse_existing(out)
    targets = [found.targets[index] for index in sample_targets(len(found.targets), amounts, seed)]
    asked = plans(list(runs), amounts, seed)
    folder = MediaFolder(out / SITE / MEDIA, look.image_format, look.size)
    files = _write_media(targets, _needed(asked, targets, look), folder, seed, progress)
    seconds = look.seconds or (ceil(folder.longest * 10) / 10 if found.clips else SECONDS)
    design = {
        "seed": seed,
        "runs": list(runs),
        "amounts": asdict(amounts),
        "targets": [target.name for target in targets],
        "plans": [asdict(plan) for plan in asked],
        "seconds": seconds,
        "show_truth": look.show_truth,
        "matched": found.rule,
        "files": [{name: files[index, name] for i, name in files if i == index} for index in range(len(targets))],
    }
    study = sha256(dumps([design, dict(texts)]).encode()).hexdigest()[:12]
    origin = provenance({**runs, TRUTH: targets[0].shown[TRUTH].path.parent})
    key = {"format": KEY_FORMAT, "version": VERSION, "study": study, **design, "provenance": origin}
    _write_site(out, key, asked, files, texts, folder.pixel_aspect)
    make_folder(out / ANSWERS)
    write_json(out / KEY_FILE, key)
    return key


def _needed(asked: Sequence[RaterPlan], targets: Sequence[Target], look: Look) -> list[tuple[int, str]]:
    """(target, TRUTH, SOURCE or run) of all that anybody sees, in the order of targets."""
    needed = {
        (trial.target, name) for plan in asked for trial in plan.trials if trial.kind != CHECK for name in trial.shown
    }
    for index in {trial.target for plan in asked for trial in plan.trials if trial.kind == BEST}:
        needed |= {(index, TRUTH)} if look.show_truth else set()
        needed |= {(index, SOURCE)} if index is not None and targets[index].source else set()
    return sorted((index, name) for index, name in needed if index is not None)


def _write_media(
    targets: Sequence[Target],
    needed: Sequence[tuple[int, str]],
    folder: MediaFolder,
    seed: int,
    progress: Progress,
) -> dict[tuple[int, str], str]:
    """Encode everything needed under random numbers; (target, name) -> file name."""
    numbers = np.random.default_rng([seed, 3]).permutation(len(needed)) + 1
    stems = {which: f"{number:04}" for which, number in zip(needed, numbers.tolist(), strict=True)}
    files: dict[tuple[int, str], str] = {}
    for index in progress.track(range(len(targets)), "writing pictures"):
        which = [(name, stems[i, name]) for i, name in needed if i == index]
        if which:
            files |= {(index, name): file for name, file in folder.write(targets[index], which).items()}
    return files


def _write_site(
    out: Path,
    key: Mapping[str, Any],
    asked: Sequence[RaterPlan],
    files: Mapping[tuple[int, str], str],
    texts: Mapping[str, str],
    pixel_aspect: Mapping[str, float],
) -> None:
    filled = {name: text.replace("{seconds}", f"{key['seconds']:g}").strip() for name, text in texts.items()}
    data = {
        "format": ANSWERS_FORMAT,
        "version": VERSION,
        "study": key["study"],
        "seconds": key["seconds"],
        "pixel_aspect": pixel_aspect,
        "texts": filled,
        "raters": [
            {"swapped": plan.swapped, "trials": [_asked(trial, files, key["show_truth"]) for trial in plan.trials]}
            for plan in asked
        ],
    }
    content = {"title": filled["title"], "texts": filled, "data": data, "raters": len(asked)}
    page = out / SITE / "index.html"
    write_page(page, "study.html", content, script="study.js", styles=(STYLE, "study.css"), media=True)
    write_text(out / "texts.yaml", own_texts())


def _asked(trial: Trial, files: Mapping[tuple[int, str], str], show_truth: bool) -> dict[str, Any]:
    """What the page knows of a trial: its files, not what they are."""
    if trial.kind == CHECK:
        return {"kind": CHECK, "ask": trial.shown[0]}
    assert trial.target is not None
    known: dict[str, Any] = {
        "kind": trial.kind,
        "media": [f"{MEDIA}/{files[trial.target, name]}" for name in trial.shown],
    }
    if trial.kind == REALISM:
        return known | ({"practice": True} if trial.practice else {})
    references = [SOURCE, *([TRUTH] if show_truth else [])]
    shown = [(name, f"{MEDIA}/{files[trial.target, name]}") for name in references if (trial.target, name) in files]
    return known | {"references": shown}
