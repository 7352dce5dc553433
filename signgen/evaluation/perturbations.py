"""What is done to the input of a robustness study: names and levels in; worse keypoints and sources out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from signgen.errors import OptionError, nearest
from signgen.poses.perturb import add_noise, drop_frames, drop_hands
from signgen.poses.sequence import PoseSequence
from signgen.seeds import keyed_rng
from signgen.video.degrade import Degrade, add_grain, blur, compress, occlude, scale_down

CORRELATION = 0.9  # of a frame's noise with the next one's, in the study `drift`
PIXELS, SHARES = (1.0, 2.0, 4.0, 8.0), (25.0, 50.0, 75.0)


@dataclass(frozen=True)
class Study:
    """One way to make the input worse. levels: usual ones, ascending; 0, the unharmed input, stands before them.

    highest: a level that none exceeds. of_clips: it needs frames that follow each other, or hands, which listed images
    do not have. source: what is done to the source image, where it is that.
    """

    title: str
    unit: str
    definition: str
    levels: tuple[float, ...]
    highest: float = 1e4
    of_clips: bool = False
    source: Degrade | None = field(default=None, repr=False)


STUDIES: dict[str, Study] = {
    "noise": Study(
        "Keypoint noise",
        " px",
        "Every keypoint coordinate moved by an independent normal draw with this standard deviation, in pixels of the "
        "clip's own frames.",
        PIXELS,
    ),
    "drift": Study(
        "Keypoint noise that lasts",
        " px",
        "The same with draws that follow each other from frame to frame, as an estimator's errors do: a first-order "
        f"autoregressive series with coefficient {CORRELATION:g} and this standard deviation.",
        PIXELS,
        of_clips=True,
    ),
    "hands": Study(
        "Hands lost",
        " %",
        "Per cent of the frames, drawn at random, in which all points of both hands are missing.",
        SHARES,
        100,
        of_clips=True,
    ),
    "held": Study(
        "Frames lost, the pose before held",
        " %",
        "Per cent of the frames, drawn at random, whose pose is lost; the last pose before is held.",
        SHARES,
        100,
        of_clips=True,
    ),
    "interpolated": Study(
        "Frames lost, poses interpolated",
        " %",
        "Per cent of the frames, drawn at random, whose pose is lost; points are taken from the line between the last "
        "pose before and the next.",
        SHARES,
        100,
        of_clips=True,
    ),
    "source": Study(
        "Choice of the source frame, by its number",
        "",
        "Which frame is the source: number 0 is the pair's own (of a video its first), 1 the middle one, the others "
        "are drawn at random, of the frames with a person that are not scored (of all, where all are scored).",
        (1.0, 2.0, 3.0, 4.0),
        of_clips=True,
    ),
    "source-noise": Study(
        "Noise in the source",
        " levels",
        "Every value of the source image moved by an independent normal draw with this standard deviation, in grey "
        "levels.",
        (5.0, 10.0, 20.0, 40.0),
        255,
        source=add_grain,
    ),
    "source-blur": Study(
        "Blur of the source",
        " px",
        "The source image through a Gaussian of this standard deviation, in its own pixels.",
        (1.0, 2.0, 4.0),
        100,
        source=blur,
    ),
    "source-jpeg": Study(
        "JPEG of the source, 100 minus quality",
        "",
        "The source image as a JPEG of quality 100 minus this.",
        (25.0, 50.0, 75.0, 90.0),
        99,
        source=compress,
    ),
    "source-scale": Study(
        "Source made smaller",
        "x",
        "The source image made this many times smaller (pixel areas) and as large as before again (bicubic).",
        (2.0, 4.0, 8.0),
        source=scale_down,
    ),
    "source-box": Study(
        "Source partly hidden",
        " %",
        "Per cent of the source image that a grey box hides; its centre is one of the person's keypoints, drawn at "
        "random.",
        (10.0, 20.0, 40.0),
        100,
        source=occlude,
    ),
}
USUAL = ("noise", "hands", "held", "interpolated", "source")


@dataclass(frozen=True)
class Perturbation:
    """A way to make the input worse. level: of its study; 0: not at all."""

    kind: str
    level: float = 0.0


def studies_of(words: Sequence[str] | None, listed: bool) -> list[str]:
    """Names of the studies that are made; None: the usual ones. Of a list of pairs those of clips are left out, and
    refused where they were named. Raises OptionError.
    """
    if words is None:
        return [name for name in USUAL if not (listed and STUDIES[name].of_clips)]
    if list(words) == ["all"]:
        return [name for name, study in STUDIES.items() if not (listed and study.of_clips)]
    for name in words:
        if name not in STUDIES:
            raise OptionError(f"no study {name!r}", expected=f"all, {', '.join(STUDIES)}", fix=_meant(name))
        if listed and STUDIES[name].of_clips:
            raise OptionError(f"the study {name} of a list of pairs: single images", expected="a pair set of clips")
    return list(dict.fromkeys(words))


def _meant(name: str) -> str | None:
    found = nearest(name, list(STUDIES))
    return f"did you mean {found}?" if found else None


def parse_levels(name: str, text: str, most: float = 1e4) -> list[float]:
    """`0,1,2` -> ascending numbers, 0 among them. Raises OptionError, with the option's or study's name."""
    try:
        levels = sorted({0.0, *(float(word) for word in text.split(","))})
    except ValueError:
        raise OptionError(f"{name} {text!r}", expected="numbers, e.g. 0,1,2") from None
    if not (levels[0] == 0 and levels[-1] <= most):  # not a number is neither
        raise OptionError(f"{name} {text!r}", expected=f"0 to {most:g}")
    return levels


def levels_of_study(word: str) -> tuple[str, list[float]]:
    """`source-jpeg=25,50` -> the study and its levels. Raises OptionError."""
    name, mark, levels = word.partition("=")
    if not mark:
        raise OptionError(f"--levels {word!r}", expected="NAME=LEVEL,..., e.g. source-jpeg=25,50")
    return name, parse_levels(f"--levels {name}", levels)


def usual_levels(noise: Sequence[float], shares: Sequence[float], sources: int) -> dict[str, Sequence[float]]:
    """Of every study. noise: of keypoints, px; shares: per cent of hands, and of frames, lost; sources: how many."""
    chosen: dict[str, Sequence[float]] = {
        **dict.fromkeys(("noise", "drift"), noise),
        **dict.fromkeys(("hands", "held", "interpolated"), shares),
        "source": range(1, sources + 1),
    }
    return {name: chosen.get(name, study.levels) for name, study in STUDIES.items()}


def check_levels(name: str, levels: Sequence[float]) -> list[float]:
    """Ascending, each once, without 0. Raises OptionError for an unknown study or levels that it cannot take."""
    if name not in STUDIES:
        raise OptionError(f"no study {name!r}", expected=", ".join(STUDIES))
    found, highest = sorted({*map(float, levels)} - {0.0}), STUDIES[name].highest
    if found and not (found[0] > 0 and found[-1] <= highest):  # not a number is neither
        raise OptionError(f"levels of {name}: {', '.join(f'{x:g}' for x in found)}", expected=f"0 to {highest:g}")
    return found


def perturbations(levels: Mapping[str, Sequence[float]]) -> list[Perturbation]:
    """The unharmed rendering, then every level but 0 of every study."""
    harmed = (Perturbation(name, level) for name, of_study in levels.items() for level in of_study if level)
    return [Perturbation("noise"), *harmed]


def perturbed(
    poses: PoseSequence, targets: Sequence[int], perturbation: Perturbation, seed: int, clip: str
) -> PoseSequence:
    """The poses that the model is given; draws are keyed by the seed, what is done, and the clip's name.

    targets: frames that are scored, among which those are drawn that lose something.
    """
    kind, level = perturbation.kind, perturbation.level
    if not level or kind.startswith("source"):
        return poses
    # What is lost is the same whether it is held or interpolated.
    rng = keyed_rng(seed, "frames" if kind in ("held", "interpolated") else kind, clip)
    if kind == "noise":
        return add_noise(poses, level, rng)
    if kind == "drift":
        return add_noise(poses, level, rng, correlation=CORRELATION)
    if kind == "hands":
        return drop_hands(poses, targets, level / 100, rng)
    return drop_frames(poses, targets, level / 100, rng, interpolated=kind == "interpolated")


def harmed_source(
    image: np.ndarray, points: np.ndarray, perturbation: Perturbation, seed: int, name: str
) -> np.ndarray:
    """The source that the model is given, uint8 (H, W, 3). points: (K, 3), the person's on it."""
    harm = STUDIES[perturbation.kind].source
    if harm is None or not perturbation.level:
        return image
    rng = keyed_rng(seed, perturbation.kind, name)
    seen = points[np.isfinite(points[:, :2]).all(1), :2]
    centre = seen[rng.integers(len(seen))] if len(seen) else np.array(image.shape[1::-1]) / 2
    return harm(image, perturbation.level, (float(centre[0]), float(centre[1])), rng)
