"""Which sound a rendering gets: --audio and the poses' own clip in; a part of a file's sound out."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from signgen.errors import OptionError, VideoError
from signgen.progress import Notes
from signgen.rates import same_rate
from signgen.video.reader import FrameSource, is_video
from signgen.video.sound import Sound, sound_codec

KEEP = "keep"


def sound_of(
    audio: str, filmed: FrameSource | None, part: slice, fps: float, poses_fps: float | None, notes: Notes
) -> Sound | None:
    """The sound of `filmed`, the clip that the poses belong to, or of a file, for the poses of `part`; None, with a
    note, where there is none.

    fps: of what is written; poses_fps: of the poses. Raises OptionError where the clip is not known or the rate changes
    the speed, VideoError for a file that cannot be opened.
    """
    path = Path(audio)
    if audio == KEEP:
        if filmed is None:
            raise OptionError("--audio keep, but the poses' own clip is not known", fix="name it with --audio PATH")
        path = filmed.path
    elif not path.is_file():
        raise VideoError(f"--audio {path}: no such file", expected="keep, or a file with sound")
    rate = (filmed.fps if filmed is not None else None) or poses_fps or fps
    if not same_rate(rate, fps):
        raise OptionError(
            f"--audio with {fps:g} frames per second", expected=f"{rate:g}, the rate at which it was filmed"
        )
    if (audio == KEEP and not is_video(path)) or sound_codec(path) is None:
        notes.add(f"{path} has none", "sound")
        return None
    start, stop = (_seconds(frame, filmed, rate) for frame in (part.start, part.stop))
    return Sound(path, start, stop)


def _seconds(frame: int, filmed: FrameSource | None, rate: float) -> Fraction:
    """When a frame is shown, by the clip's own uneven times where it has them."""
    times = None if filmed is None else filmed.times
    if times is not None and frame < len(times):
        return Fraction(float(times[frame])).limit_denominator(90_000)
    if times is not None and len(times) > 1:  # the end of the last frame, which is shown as long as the one before
        return Fraction(float(2 * times[-1] - times[-2])).limit_denominator(90_000)
    from signgen.video.writer import exact_rate

    return frame / exact_rate(rate)
