"""What `FrameScorer` says of several clips in; one metrics dictionary of all their frames out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from signgen.errors import VideoError
from signgen.metrics.clip.flicker import flicker_note
from signgen.metrics.clip.frame_pair import MODEL
from signgen.metrics.clip.scorer import baseline_notes, coverage_notes, pose_coverage_notes
from signgen.metrics.definitions import BASELINE_DEFINITIONS, DEFINITIONS
from signgen.metrics.means import mean_row


@dataclass(frozen=True)
class ClipScores:
    """result: of `FrameScorer`. rows: number of each of its frames in the set; names: generated, truth, likewise.
    clip: its name."""

    result: dict[str, Any]
    rows: Sequence[int]
    names: Sequence[tuple[str, str]]
    clip: str


class SetMetric(Protocol):
    """Numbers of a whole set of clips, of the model and of every baseline."""

    @property
    def names(self) -> tuple[str, ...]:
        """In the report's order."""
        ...

    def result(self, track: str) -> tuple[dict[str, float], dict[str, str]]:
        """The numbers of a track by name, and name -> reason for those that it does not have."""
        ...

    def notes(self) -> list[str]:
        """What the reader of the numbers should know."""
        ...


def join_clips(
    clips: Sequence[ClipScores],
    not_computed: Mapping[str, str],
    notes: Iterable[str],
    set_metrics: Sequence[SetMetric] = (),
) -> dict[str, Any]:
    """The metrics dictionary; means are over all frames of all clips, rows in the order of the set.

    not_computed, notes: of the whole set. set_metrics: metrics that have taken in all clips. Raises VideoError for
    no clips.
    """
    if not clips:
        raise VideoError("no frames were scored", expected="at least one pair of frames")
    # frames of all clips
    definitions = dict(clips[0].result["definitions"])
    names = list(dict.fromkeys(name for clip in clips for name in clip.result["per_frame_baselines"]))
    tracks = {name: _rows(clips, name) for name in (MODEL, *names)}
    means = {name: mean_row(rows, definitions) for name, rows in tracks.items()}
    reasons_of = {name: reason for clip in clips for name, reason in clip.result["not_computed"].items()}
    # metrics of the whole set
    for metric in set_metrics:
        definitions |= {name: DEFINITIONS[name] for name in metric.names}
        for track in means:
            found, reasons = metric.result(track)
            means[track] |= {name: found.get(name) for name in metric.names}
            reasons_of |= reasons if track == MODEL else {}
    # the model beside the baselines
    mean, rows = means.pop(MODEL), tracks.pop(MODEL)
    single = {name: reason for name, reason in reasons_of.items() if mean.get(name) is None and name not in names}
    protocols = {clip.result["protocol"] for clip in clips}
    kinds = [f"{name}: {BASELINE_DEFINITIONS[name]}" for name in names if name in BASELINE_DEFINITIONS]
    return {
        "protocol": protocols.pop() if len(protocols) == 1 else _of_several_sizes(clips),
        "definitions": definitions,
        "frames": len(rows),
        "mean": mean,
        "baselines": means,
        "not_computed": single | {name: reason for name, reason in not_computed.items() if name not in names},
        "notes": [
            *(*notes, *kinds, *coverage_notes(rows), *baseline_notes(tracks), *_partial(tracks, len(rows))),
            *(note for note in [flicker_note(mean)] if note),
            *(note for metric in set_metrics for note in metric.notes()),
            *pose_coverage_notes(rows, tracks),
        ],
        "per_frame": rows,
        "per_frame_baselines": tracks,
    }


def _rows(clips: Sequence[ClipScores], track: str) -> list[dict[str, Any]]:
    """Of the clips that have the track; the model's rows hold names."""
    found = []
    for clip in clips:
        if track == MODEL:
            table = zip(clip.rows, clip.names, clip.result["per_frame"], strict=True)
            found += [
                {**row, "frame": n, "clip": clip.clip, "generated": generated, "truth": true}
                for n, (generated, true), row in table
            ]
        elif track in clip.result["per_frame_baselines"]:
            scored = zip(clip.rows, clip.result["per_frame_baselines"][track], strict=True)
            found += [{**row, "frame": number} for number, row in scored]
    return sorted(found, key=lambda row: row["frame"])


def _partial(tracks: Mapping[str, Sequence[Any]], frames: int) -> list[str]:
    return [
        f"{name} has no answer in some clips; its means are over {len(rows)} of {frames} frames"
        for name, rows in tracks.items()
        if len(rows) < frames
    ]


def _of_several_sizes(clips: Sequence[ClipScores]) -> str:
    """The line without the size, which differs from clip to clip."""
    line = clips[0].result["protocol"]
    start, end = line.index("("), line.index(")")
    return f"{line[:start]}(each clip's own){line[end + 1 :]}"
