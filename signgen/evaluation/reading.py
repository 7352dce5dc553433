"""A model and a pair set of drawn people in; how many of their signs a reader that needs no people reads in what the
model renders, beside the truth and the baselines, out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from signgen.errors import PairSetError
from signgen.evaluation.model_work import ModelRequest, Rendered, Shard, Work
from signgen.evaluation.provenance import provenance
from signgen.evaluation.sign_reader import (
    FRAMES,
    VIEWS,
    ReaderSettings,
    SignPictures,
    SignReader,
    View,
    load_reader,
    sampled,
    save_reader,
    sign_pictures,
    train_reader,
    words,
)
from signgen.metrics.clip.frame_pair import MODEL
from signgen.metrics.clip.scorer import Baseline
from signgen.metrics.definitions import BASELINE_DEFINITIONS, DEFINITIONS, READING_METRICS
from signgen.metrics.intervals import wilson
from signgen.metrics.means import Row, mean_row
from signgen.models.card import read_card
from signgen.pairs.pairset import PairSet
from signgen.poses.parts import visible
from signgen.poses.skeletons import COCO_WHOLEBODY_133 as LAYOUT
from signgen.progress import SILENT, Progress
from signgen.rendering.background import FrameWorker
from signgen.rendering.guide import chosen_settings, open_guide
from signgen.rendering.pairs import PairJob, check_pairs, jobs_of
from signgen.requests import Request
from signgen.synthetic.motion import Signed
from signgen.synthetic.signs import read_signs

READER_FILE = "reader.safetensors"
SURELY_READS = 2.0  # times chance: what the interval of a reader's own test must lie above
_TRUTH = "truth"  # a track beside the model and the baselines


@dataclass(frozen=True)
class ReadingRequest(Request):
    """reader: the file of one that was trained before, else one is trained as `learning` says; keep_reader: where that
    one is kept. sampling: what the command line chose."""

    model: Path
    pairs: Path
    split: str = "test"
    reader: Path | None = None
    keep_reader: Path | None = None
    learning: ReaderSettings = field(default_factory=ReaderSettings)
    sampling: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    device: str = "auto"
    threads: int | None = None


@dataclass(frozen=True)
class SignJob:
    """One rendering, of the frames that the reader looks at and no others, and the signs in them."""

    job: PairJob
    signs: tuple[Signed, ...]


@dataclass
class SeenSigns:
    """Every sign that is read: its clip and itself, and what each track shows of it, in the same order; a track that
    has no answer for one of its frames has None."""

    signs: list[tuple[str, Signed]] = field(default_factory=list)
    tracks: dict[str, list[SignPictures | None]] = field(default_factory=dict)


def evaluate_reading(request: ReadingRequest, progress: Progress = SILENT) -> dict[str, Any]:
    """The metrics dictionary: a row for every sign.

    Raises PairSetError for a pair set whose signs are not known or of which none can be read, WeightsError for a
    damaged reader.
    """
    # what is read
    pair_set = PairSet.load(request.pairs)
    card = read_card(request.model)
    check_pairs(pair_set, card, request.split)
    guide = open_guide(card.sampling(request.sampling))
    jobs = sign_jobs(pair_set, request.split)
    progress.note(f"{sum(len(job.signs) for job in jobs):,} signs of {len(jobs):,} clips")
    # the reader
    if request.reader is not None:
        reader = load_reader(request.reader)
    else:
        reader = train_reader(request.learning, progress)
        if request.keep_reader is not None:
            save_reader(reader, request.keep_reader)
    # render and read
    seen = _shown(request, pair_set, jobs, progress)
    result = reading_result(reader, seen)
    chosen = chosen_settings(request.sampling, guide)
    result["render"] = {"split": request.split, "seed": request.seed, **chosen}
    files = {"model": request.model, "pairs": request.pairs, "reader": request.reader or request.keep_reader}
    return {**result, "provenance": provenance(files)}


def sign_jobs(pair_set: PairSet, split: str) -> list[SignJob]:
    """The signs of a split that lie wholly in frames that are to be rendered. Raises PairSetError where there are none.

    A sign is left out where one of its frames is the source, or where its shoulders are never seen.
    """
    signed = read_signs(Path(pair_set.meta["root"]))
    jobs = []
    for job in jobs_of(pair_set.triples(split)):
        clip = pair_set.clips[job.clip_index]
        seen: np.ndarray = np.asarray(visible(pair_set.poses(clip.name).keypoints))
        if seen.shape[1] != LAYOUT.points:
            raise PairSetError(f"{pair_set.folder}: poses of {seen.shape[1]} points", expected=f"{LAYOUT.points}")
        shoulders = seen[:, LAYOUT.left_shoulder] & seen[:, LAYOUT.right_shoulder]
        rendered = set(job.targets) - {job.source}
        signs = [sign for sign in signed.get(clip.name, []) if set(sampled(sign)) <= rendered]
        signs = [sign for sign in signs if shoulders[sampled(sign)].any()]
        wanted = {number for sign in signs for number in sampled(sign)}
        kept = [(row, target) for row, target in zip(job.rows, job.targets, strict=True) if target in wanted]
        if kept:
            rows, targets = zip(*kept, strict=True)
            jobs.append(SignJob(replace(job, rows=rows, targets=targets), tuple(signs)))
    if not jobs:
        raise PairSetError(
            f"{pair_set.folder}: no sign of its corpus lies wholly in the {split} pairs",
            expected="clips of `signgen synthesize`, long enough for a sign (some 75 frames), by their own names",
        )
    return jobs


def _shown(request: ReadingRequest, pair_set: PairSet, jobs: Sequence[SignJob], progress: Progress) -> SeenSigns:
    """Render, and keep of each sign what the reader is shown."""
    rendering = ModelRequest(
        *(request.model, request.pairs, request.split),
        sampling=request.sampling,
        seed=request.seed,
        device=request.device,
        threads=request.threads,
    )
    total = sum(len(job.job.targets) for job in jobs)
    work = Work(Shard(rendering, [job.job for job in jobs], request.pairs, total, None))
    found = SeenSigns()
    with progress.bar("rendering signs", total) as bar:
        for job in jobs:
            frames: dict[int, Rendered] = {}
            with FrameWorker() as worker:
                work.render(job.job, worker, partial(_keep, frames), bar.advance)
            _add(found, work, job, frames)
    return found


def _keep(frames: dict[int, Rendered], pair: Rendered) -> None:
    frames[pair.target] = pair


def _add(found: SeenSigns, work: Work, job: SignJob, frames: Mapping[int, Rendered]) -> None:
    """What every track shows of the signs of one clip."""
    clip = work.pair_set.clips[job.job.clip_index]
    keypoints = work.poses(clip.name).resized(clip.width, clip.height).keypoints
    tracks: dict[str, Callable[[int], np.ndarray | None]] = {
        MODEL: lambda number: frames[number].generated,
        _TRUTH: lambda number: frames[number].truth,
    }
    for name, baseline in work.baselines(job.job).items():
        tracks[name] = partial(_answer, baseline, keypoints)
    for sign in job.signs:
        numbers = sampled(sign)
        found.signs.append((clip.name, sign))
        for name, frame in tracks.items():
            shown = [frame(number) for number in numbers]
            whole = [each for each in shown if each is not None]
            pictures = sign_pictures(np.stack(whole), keypoints[numbers]) if len(whole) == FRAMES else None
            found.tracks.setdefault(name, []).append(pictures)


def _answer(baseline: Baseline, keypoints: np.ndarray, number: int) -> np.ndarray | None:
    return baseline(number, keypoints[number])


def reading_result(reader: SignReader, seen: SeenSigns) -> dict[str, Any]:
    """The metrics dictionary of what the reader reads; pure, nothing is rendered."""
    views = [view for view in VIEWS if can_read(reader, view)]
    read = {name: {view: _read(reader, shown, view) for view in views} for name, shown in seen.tracks.items()}
    rows = {name: _rows(seen, read[name], read[_TRUTH]) for name in seen.tracks if name != _TRUTH}
    metrics = [name for name in READING_METRICS if any(f"read_{view}" in name for view in views)]
    single = [name for name in metrics if not name.endswith("_share")]
    means = {name: mean_row(of_track, single) for name, of_track in rows.items()}
    for mean in means.values():
        for view in views:
            ours, theirs = mean[f"read_{view}"], mean[f"read_{view}_truth"]
            mean[f"read_{view}_share"] = ours / theirs if ours is not None and theirs else None
    own = [
        {**row, "clip": clip, "sign": sign.word, **{f"{view}_as": read[MODEL][view][number] for view in views}}
        for number, (row, (clip, sign)) in enumerate(zip(rows[MODEL], seen.signs, strict=True))
    ]
    others = {name: mean for name, mean in means.items() if name != MODEL}
    of_views = {view: _figures(reader, view, rows) for view in views}
    blind = {view: _blind(reader, view) for view in VIEWS if view not in views}
    without = {m: reason for view, reason in blind.items() for m in READING_METRICS if f"read_{view}" in m}
    unread = [m for m in metrics if means[MODEL].get(m) is None]
    return {
        "verdict": _verdict(of_views, len(own)),
        "protocol": f"signgen-reading: which of {len(words())} drawn signs, from {FRAMES} frames each; shares of signs",
        "definitions": {name: DEFINITIONS[name] for name in metrics},
        "frames": len(own),
        "mean": {name: means[MODEL].get(name) for name in metrics},
        "baselines": {name: {m: mean.get(m) for m in metrics} for name, mean in others.items()},
        "not_computed": without | dict.fromkeys(unread, "the reader reads no sign of the truth either"),
        "notes": [
            *(f"{name}: {BASELINE_DEFINITIONS[name]}" for name in others if name in BASELINE_DEFINITIONS),
            *(_note(view, figures) for view, figures in of_views.items()),
        ],
        "reading": of_views,
        "confusion": {view: _confusion(seen, read[MODEL][view]) for view in views},
        "per_frame": own,
        "per_frame_baselines": {name: of_track for name, of_track in rows.items() if name != MODEL},
    }


def can_read(reader: SignReader, view: View) -> bool:
    """Whether its own test says that it reads: the interval lies above twice what guessing would give."""
    return wilson(reader.tested[view], reader.signs)[0] > SURELY_READS / len(words())


def _blind(reader: SignReader, view: View) -> str:
    return (
        f"the reader reads {reader.tested[view]} of {reader.signs} signs of people whom it never saw by {view}, hardly"
        f" more than guessing ({1 / len(words()):.1%}): it cannot judge"
    )


def _read(reader: SignReader, shown: Sequence[SignPictures | None], view: View) -> list[str | None]:
    there = [number for number, pictures in enumerate(shown) if pictures is not None]
    found: list[str | None] = [None] * len(shown)
    pictures = [each for each in shown if each is not None]
    for number, word in zip(there, reader.read(pictures, view), strict=True):
        found[number] = word
    return found


def _rows(seen: SeenSigns, read: Mapping[View, list[str | None]], truth: Mapping[View, list[str | None]]) -> list[Row]:
    """A row a sign: 1 where it is read right, 0 where not, None where the track has no answer."""
    rows: list[Row] = []
    for number, (_, sign) in enumerate(seen.signs):
        row: dict[str, Any] = {"frame": number}
        for view in read:
            word = read[view][number]
            row[f"read_{view}"] = None if word is None else int(word == sign.word)
            row[f"read_{view}_truth"] = int(truth[view][number] == sign.word)
        rows.append(row)
    return rows


def _figures(reader: SignReader, view: View, rows: Mapping[str, Sequence[Row]]) -> dict[str, Any]:
    """Right and all signs, and Wilson's interval, of model, truth and every baseline, and of the reader's own test."""

    def counted(values: Sequence[float | int | None]) -> dict[str, Any]:
        known = [int(value) for value in values if value is not None]
        return _counted(sum(known), len(known)) if known else {"right": 0, "signs": 0}

    tracks = {name or "model": counted([row[f"read_{view}"] for row in of_track]) for name, of_track in rows.items()}
    tracks[_TRUTH] = counted([row[f"read_{view}_truth"] for row in rows[MODEL]])
    return {"chance": 1 / len(words()), "reader": _counted(reader.tested[view], reader.signs), **tracks}


def _counted(right: int, signs: int) -> dict[str, Any]:
    return {"right": right, "signs": signs, "share": right / signs, "interval": list(wilson(right, signs))}


def _confusion(seen: SeenSigns, read: Sequence[str | None]) -> dict[str, dict[str, int]]:
    """Sign -> what it is read as -> how often."""
    found: dict[str, dict[str, int]] = {}
    for (_, sign), word in zip(seen.signs, read, strict=True):
        counts = found.setdefault(sign.word, {})
        counts[str(word)] = counts.get(str(word), 0) + 1
    return found


def _percent(figures: Mapping[str, Any]) -> str:
    low, high = figures["interval"]
    return f"{figures['share']:.1%} ({low:.1%} to {high:.1%}) of {figures['signs']} signs"


def _note(view: View, figures: Mapping[str, Any]) -> str:
    return (
        f"by {view}, read right with 95 % intervals: model {_percent(figures['model'])}, truth"
        f" {_percent(figures[_TRUTH])}, people whom the reader never saw {_percent(figures['reader'])}; guessing gives"
        f" {figures['chance']:.1%}"
    )


def _verdict(views: Mapping[View, Mapping[str, Any]], signs: int) -> str:
    if not views:
        return "Not read: the reader cannot read the truth of people whom it never saw."
    parts = []
    for view, figures in views.items():
        guessed = signs * figures["chance"]
        parts.append(
            f"{figures['model']['right']} by {view} (truth {figures[_TRUTH]['right']}, guessing {guessed:.1f})"
        )
    return f"Of {signs} signs the reader reads {', '.join(parts)} in what the model renders."
