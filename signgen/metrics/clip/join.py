"""What `FrameScorer` says of several clips in; one metrics dictionary of all their frames out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from torchmetrics import Metric

from signgen.errors import VideoError
from signgen.metrics.accumulate import RowTable, Texts
from signgen.metrics.clip.flicker import flicker_note
from signgen.metrics.clip.frame_pair import MODEL
from signgen.metrics.clip.scorer import baseline_notes, coverage_notes, pose_coverage_notes
from signgen.metrics.definitions import BASELINE_DEFINITIONS, DEFINITIONS
from signgen.metrics.means import OWN_TRUTH, columns_of, mean_row


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


class ClipSet:
    """Rows of the frames of a set of clips, of the model and of every baseline, and what their scorers say.

    total: frames of the whole set. names: of the frames' metrics.
    """

    def __init__(self, total: int, names: Iterable[str]) -> None:
        self._names = tuple(names)
        columns = (OWN_TRUTH, *columns_of(self._names))
        self._tracks = {track: RowTable(total, columns) for track in (MODEL, *BASELINE_DEFINITIONS)}
        self._texts = Texts()

    def states(self) -> list[Metric]:
        """What clips have left."""
        return [*self._tracks.values(), self._texts]

    def add(self, result: Mapping[str, Any], numbers: Sequence[int]) -> None:
        """Take in what `FrameScorer` says of a clip. numbers: of its frames in the set."""
        for track, rows in {MODEL: result["per_frame"], **result["per_frame_baselines"]}.items():
            for number, row in zip(numbers, rows, strict=True):
                self._tracks[track].update(number, row)
        self._texts.update(json.dumps(["protocol", result["protocol"], ""]))
        for name, reason in result["not_computed"].items():
            self._texts.update(json.dumps(["not computed", name, reason]))

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """Rows of each track in the order of the set, of the model and of those baselines that have answers."""
        found = {track: table.compute() for track, table in self._tracks.items()}
        return {
            track: [{"frame": number, **row} for number, row in rows.items()]
            for track, rows in found.items()
            if rows or track == MODEL
        }

    def result(
        self,
        labels: Sequence[Mapping[str, str]],
        not_computed: Mapping[str, str],
        notes: Iterable[str],
        set_metrics: Sequence[SetMetric] = (),
    ) -> dict[str, Any]:
        """The metrics dictionary; means are over all frames of all clips, rows in the order of the set.

        labels: of each frame: clip, generated, truth. not_computed, notes: of the whole set. set_metrics: metrics that
        have taken in all clips. Raises VideoError for no clips.
        """
        # frames of all clips
        definitions = {name: DEFINITIONS[name] for name in self._names}
        tracks = self.rows()
        texts = [json.loads(line) for line in self._texts.compute()]
        found_reasons = {name: reason for kind, name, reason in texts if kind == "not computed"}
        reasons_of = {name: found_reasons[name] for name in DEFINITIONS if name in found_reasons} | found_reasons
        protocols = [name for kind, name, _ in texts if kind == "protocol"]
        if not protocols:
            raise VideoError("no frames were scored", expected="at least one pair of frames")
        means = {name: mean_row(rows, definitions) for name, rows in tracks.items()}
        # metrics of the whole set
        for metric in set_metrics:
            definitions |= {name: DEFINITIONS[name] for name in metric.names}
            for track in means:
                found, reasons = metric.result(track)
                means[track] |= {name: found.get(name) for name in metric.names}
                reasons_of |= reasons if track == MODEL else {}
        # the model beside the baselines
        mean, rows = means.pop(MODEL), tracks.pop(MODEL)
        rows = [{**row, **labels[row["frame"]]} for row in rows]
        single = {name: reason for name, reason in reasons_of.items() if mean.get(name) is None and name not in means}
        kinds = [f"{name}: {BASELINE_DEFINITIONS[name]}" for name in means]
        return {
            "protocol": protocols[0] if len(protocols) == 1 else _of_several_sizes(protocols[0]),
            "definitions": definitions,
            "frames": len(rows),
            "mean": mean,
            "baselines": means,
            "not_computed": single | {name: reason for name, reason in not_computed.items() if name not in means},
            "notes": [
                *(*notes, *kinds, *coverage_notes(rows), *baseline_notes(tracks), *_partial(tracks, len(rows))),
                *(note for note in [flicker_note(mean)] if note),
                *(note for metric in set_metrics for note in metric.notes()),
                *pose_coverage_notes(rows, tracks),
            ],
            "per_frame": rows,
            "per_frame_baselines": tracks,
        }


def _partial(tracks: Mapping[str, Sequence[Any]], frames: int) -> list[str]:
    return [
        f"{name} has no answer in some clips; its means are over {len(rows)} of {frames} frames"
        for name, rows in tracks.items()
        if len(rows) < frames
    ]


def _of_several_sizes(protocol: str) -> str:
    """The line without the size, which differs from clip to clip."""
    start, end = protocol.index("("), protocol.index(")")
    return f"{protocol[:start]}(each clip's own){protocol[end + 1 :]}"
