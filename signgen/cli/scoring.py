"""What render and evaluate share: truth, keypoints, baselines in, a FrameScorer out; the printed table, the files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from signgen.cli.common import console
from signgen.errors import WeightsError

if TYPE_CHECKING:
    import numpy as np

    from signgen.metrics.clip.frame_pair import ClipMetric, FrameMetric
    from signgen.metrics.clip.scorer import Baseline, FrameScorer
    from signgen.video.reader import FrameSource

REPORT_FILE = "report.html"


def make_scorer(
    truth: FrameSource,
    keypoints: np.ndarray | None,
    source: np.ndarray,
    pairs: Path | None,
    clip: str,
    lpips_weights: Path | None = None,
    weights: Path | None = None,
    notes: tuple[str, ...] = (),
    metrics: Sequence[FrameMetric] = (),
    clip_metrics: Sequence[ClipMetric] = (),
    quick: bool = False,
    not_computed: Mapping[str, str] | None = None,
) -> FrameScorer:
    """A scorer with everything that is at hand; what is not is listed with its reason.

    lpips_weights: AlexNet's, which must be there; weights: a folder that may hold them, instead of the usual places.
    keypoints: (T, K, 3) in pixels of the truth. source: the frame that copy-source repeats. pairs: pair set whose
    training frames of `clip`'s signer are nearest-pose. metrics, clip_metrics: further ones; quick: without the slow
    ones; not_computed: name -> why it is not.
    """
    from signgen.evaluation.baselines import CopySource, nearest_pose
    from signgen.metrics.clip.scorer import FrameScorer
    from signgen.metrics.image.lpips import load_lpips
    from signgen.pairs.pairset import PairSet

    said, missing = list(notes), dict(not_computed or {})
    baselines: dict[str, Baseline] = {"copy-source": CopySource(source)}
    if pairs is None:
        missing["nearest-pose"] = "the training frames are not known; give their pair set with --pairs"
    elif keypoints is None:
        missing["nearest-pose"] = "no keypoints; give the truth's with --poses"
    else:
        nearest = nearest_pose(PairSet.load(pairs), clip, (truth.width, truth.height), truth.path)
        baselines["nearest-pose"] = nearest
        said.append(f"nearest-pose chooses among {nearest.summary}")
    try:
        lpips = load_lpips(lpips_weights or weights)
    except WeightsError as error:
        if lpips_weights is not None:
            raise
        lpips, missing["lpips"] = None, str(error)
    return FrameScorer(
        keypoints=keypoints,
        lpips=lpips,
        baselines=baselines,
        metrics=metrics,
        clip_metrics=clip_metrics,
        quick=quick,
        not_computed=missing,
        notes=said,
    )


def write_result(result: dict[str, Any], folder: Path, write_report: Callable[[Path, Mapping[str, str]], Path]) -> None:
    """Write metrics.json, per_frame.csv, per_frame.parquet and the page, then print the table.

    write_report: path and links to the files beside it -> the page, written.
    """
    from signgen.metrics.results import write_metrics, write_per_frame_csv, write_per_frame_parquet

    writers = (write_metrics, write_per_frame_csv, write_per_frame_parquet)
    written = [write(result, folder) for write in writers]
    written.append(write_report(folder / REPORT_FILE, {path.name: path.name for path in written}))
    print_result(result)
    console.print(f"wrote {', '.join(map(str, written))}", markup=False)


def print_result(result: dict[str, Any]) -> None:
    """The verdict, a table of model and baselines, what was not computed, and notes."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from signgen.metrics.results import MODEL, by_reason, number_text, verdict

    console.print(escape(verdict(result)))
    console.print(escape(f"{result['protocol']}; {result['frames']} frames"))
    candidates = {MODEL: result["mean"], **result["baselines"]}
    table = Table("mean", box=box.SIMPLE_HEAD)
    for name in candidates:
        table.add_column(name, justify="right", no_wrap=True)
    for metric, value in result["mean"].items():
        if value is not None:
            table.add_row(metric, *(number_text(metric, means.get(metric)) for means in candidates.values()))
    console.print(table)
    for reason, metrics in by_reason(result["not_computed"]).items():
        console.print(escape(f"not computed: {', '.join(metrics)}: {reason}"))
    for note in result["notes"]:
        console.print(escape(f"note: {note}"))
