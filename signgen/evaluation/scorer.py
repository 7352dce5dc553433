"""Truth, keypoints and baselines in; a FrameScorer with every metric whose weights are at hand out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from signgen.errors import WeightsError
from signgen.evaluation.baselines import CopySource, nearest_pose
from signgen.metrics.clip.frame_pair import ClipMetric, FrameMetric
from signgen.metrics.clip.presets import ClipPreset, CropPictures
from signgen.metrics.clip.scorer import Baseline, FrameScorer
from signgen.metrics.definitions import CROP_METRICS, DISTRIBUTION_METRICS
from signgen.metrics.image.lpips import Lpips, Net, load_lpips
from signgen.pairs.pairset import PairSet
from signgen.video.reader import FrameSource

if TYPE_CHECKING:
    from signgen.metrics.distribution.fvd import Distribution


def make_scorer(
    truth: FrameSource,
    keypoints: np.ndarray | None,
    source: np.ndarray,
    pairs: Path | None,
    clip: str,
    lpips_weights: Path | None = None,
    weights: Path | None = None,
    notes: Sequence[str] = (),
    metrics: Sequence[FrameMetric] = (),
    clip_metrics: Sequence[ClipMetric] = (),
    quick: bool = False,
    not_computed: Mapping[str, str] | None = None,
    own: int | None = None,
    preset: ClipPreset | None = None,
) -> FrameScorer:
    """A scorer with everything that is at hand; what is not is listed with its reason.

    keypoints: (T, K, 3) in pixels of the truth. source: the frame that copy-source repeats; own: its
    number, where it is a frame of the truth. pairs: pair set whose
    training frames of `clip`'s signer are nearest-pose. lpips_weights: AlexNet's, which must be there; weights: a
    folder that may hold them, instead of the usual places. metrics, clip_metrics: extra ones. quick: without the slow
    ones. not_computed: name -> why it is not. preset: whose crops are scored as well.
    """
    noted, missing = list(notes), dict(not_computed or {})
    # baselines
    baselines: dict[str, Baseline] = {"copy-source": CopySource(source, own)}
    if pairs is None:
        missing["nearest-pose"] = "the training frames are not known; give their pair set with --pairs"
    elif keypoints is None:
        missing["nearest-pose"] = "no keypoints; give the truth's with --poses"
    else:
        nearest = nearest_pose(PairSet.load(pairs), clip, (truth.width, truth.height), truth.path)
        baselines["nearest-pose"] = nearest
        noted.append(f"nearest-pose chooses among {nearest.summary}")
    # weights
    networks, without = find_lpips(lpips_weights, weights)
    crops, uncropped = crop_pictures(preset, networks, without)
    return FrameScorer(
        keypoints=keypoints,
        lpips=networks.get("alex"),
        lpips_vgg=networks.get("vgg"),
        baselines=baselines,
        metrics=[*metrics, *crops],
        clip_metrics=clip_metrics,
        quick=quick,
        not_computed=missing | without | uncropped,
        notes=noted,
    )


def find_lpips(required: Path | None, folder: Path | None) -> tuple[dict[Net, Lpips], dict[str, str]]:
    """The networks whose weights are at hand, and metric -> why there is none.

    required: AlexNet's weights that must be there (raises WeightsError); folder: where else they, and VGG's, may be.
    """
    found: dict[Net, Lpips] = {}
    missing = {}
    try:
        found["alex"] = load_lpips(required or folder)
    except WeightsError as error:
        if required is not None:
            raise
        missing["lpips"] = str(error)
    try:
        found["vgg"] = load_lpips(folder, net="vgg")
    except WeightsError as error:
        missing["lpips_vgg"] = str(error)
    return found, missing


def crop_pictures(
    preset: ClipPreset | None, networks: Mapping[Net, Lpips], missing: Mapping[str, str]
) -> tuple[list[FrameMetric], dict[str, str]]:
    """The metric of a preset's crops, and name -> why a number of it is not computed. missing: of `find_lpips`."""
    if preset is None or not preset.crops:
        return [], {}
    metric = CropPictures(networks.get("vgg"))
    without = [name for name in CROP_METRICS if name.endswith("_lpips_vgg") and name not in metric.names]
    return [metric], dict.fromkeys(without, missing.get("lpips_vgg", ""))


def distributions(
    wanted: bool, weights: Path | None, also: Collection[str] = ()
) -> tuple[list[Distribution], dict[str, str]]:
    """FID and both FVDs, if they are wanted, and those of `also`; name -> why one cannot be computed, with the command
    that gets weights."""
    names = [name for name in DISTRIBUTION_METRICS if wanted or name in also]
    others = [name for name in DISTRIBUTION_METRICS if name not in names]
    missing = dict.fromkeys(others, "not asked for; --distribution asks for it")
    if not names:
        return [], missing
    from signgen.metrics.distribution.fvd import Distribution  # torchmetrics takes seconds to import
    from signgen.metrics.distribution.i3d import WINDOW, load_i3d, load_r3d
    from signgen.metrics.distribution.inception import load_inception

    def frame_features() -> Callable[[np.ndarray], np.ndarray]:
        inception = load_inception("pytorch-fid", weights)
        return lambda window: inception(window[0])

    networks: tuple[tuple[str, int, Callable[[], Callable[[np.ndarray], np.ndarray]]], ...] = (
        ("fid", 1, frame_features),
        ("fvd", WINDOW, lambda: load_i3d(weights)),
        ("fvd_r3d", WINDOW, lambda: load_r3d(weights)),
    )
    found = []
    for name, window, load in (network for network in networks if network[0] in names):
        try:
            found.append(Distribution(name, load(), window))
        except WeightsError as error:
            missing[name] = str(error)
    return found, missing
