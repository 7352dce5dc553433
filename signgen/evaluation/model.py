"""A model and a pair set in; every pair of a split rendered and scored in one pass; nothing but numbers is kept."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from signgen.errors import OptionError, PairSetError
from signgen.evaluation.clip_poses import PoseRequest
from signgen.evaluation.model_clips import NO_SEQUENCES, preset_of, score_clips
from signgen.evaluation.model_images import score_images
from signgen.evaluation.model_work import ModelRequest, Shard, batch_of
from signgen.evaluation.pair_traits import add_splits, traits_of_triples
from signgen.evaluation.provenance import provenance
from signgen.evaluation.worst import WorstPictures
from signgen.models.card import read_card
from signgen.pairs.pairset import PairSet
from signgen.parallel import shared_folder
from signgen.progress import SILENT, Progress
from signgen.rendering.guide import chosen_settings, open_guide
from signgen.rendering.pairs import check_pairs, check_steady, jobs_of

__all__ = ["ModelRequest", "ModelResult", "evaluate_model"]


@dataclass(frozen=True)
class ModelResult:
    """scores: the metrics dictionary (docs/metrics.md). worst: pictures of the worst frames."""

    scores: dict[str, Any]
    worst: WorstPictures

    @property
    def notes(self) -> tuple[str, ...]:
        """Which frames nearest-pose chose among, and what else the reader of the scores should know."""
        return tuple(self.scores["notes"])


def evaluate_model(request: ModelRequest, progress: Progress = SILENT) -> ModelResult:
    """Render and score a split of a pair set, as clips or, where the request names one, under a protocol.

    Under `torchrun` or `accelerate launch` every process calls it and does its part; the first one returns, the others
    end (signgen.parallel.NotTheFirst).
    Raises PairSetError for a split without triples and for poses of another skeleton than the model's, PoseError for an
    estimator that cannot be had.
    """
    _check_options(request)
    preset_of(request)
    # what is rendered
    pair_set = PairSet.load(request.pairs)
    card = read_card(request.model)
    check_pairs(pair_set, card, request.split)
    _check_estimator(request.poses, pair_set)
    guide = open_guide(card.sampling(request.sampling))
    networks = (*card.pose_networks, *([] if guide is None else [guide.digest]))
    request = replace(request, poses=request.poses.judging(f"{request.model}", networks))
    if request.poses.refused:
        progress.note(f"no keypoints are estimated: {request.poses.refused}")
    check_steady(pair_set, card.sampling(request.sampling))
    triples = pair_set.triples(request.split)
    jobs = jobs_of(triples)
    progress.note(f"{len(triples):,} {request.split} pairs of {len({job.clip_index for job in jobs}):,} clips")
    # render and score
    score = score_clips if request.protocol is None else score_images
    with shared_folder("signgen-features-") if request.protocol else nullcontext(Path()) as folder:
        whole = Shard(request, jobs, folder, len(triples), batch_of(pair_set, jobs, card.sampling(request.sampling)))
        scores, worst = score(pair_set, whole, progress)
    traits, of_names = traits_of_triples(pair_set, request.split)
    scores = add_splits(scores, traits, images=pair_set.listed, of_names=of_names)
    # how it was rendered, and from what
    chosen = chosen_settings(request.sampling, guide)
    scores["render"] = {"split": request.split, "seed": request.seed, **chosen}
    scores["provenance"] = provenance(
        {
            "model": request.model,
            "pairs": request.pairs,
            "train images": request.train_images,
            "weights": request.weights,
            "LPIPS weights": request.lpips_weights,
        }
    )
    return ModelResult(scores, worst)


def _check_options(request: ModelRequest) -> None:
    """Raise OptionError for what has no meaning with, or without, a protocol."""
    clip_options = {
        "--estimator": request.poses.estimator,
        "--onnx": request.poses.onnx,
        "--posenet": request.poses.posenet,
        "--distribution": request.distribution or None,
        "--preset": request.preset,
    }
    protocol_options = {"--size": request.size, "--train-images": request.train_images}
    refused, reason = (
        (protocol_options, "needs --protocol")
        if request.protocol is None
        else (clip_options, "does not go with --protocol")
    )
    for option, value in refused.items():
        if value is not None:
            raise OptionError(f"{option} {reason}")


def _check_estimator(wanted: PoseRequest, pair_set: PairSet) -> None:
    """Raise, before anything is rendered, PoseError for an estimator that cannot be had, OptionError for options that
    do not go together, PairSetError where it is of no use."""
    wanted.choice.check()
    if not wanted.estimates:
        return
    if pair_set.listed:
        raise PairSetError(f"an estimator with {pair_set.folder}: {NO_SEQUENCES}", expected="a pair set of clips")
    wanted.open().close()
