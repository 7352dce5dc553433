"""What can go wrong, said in one line: what was found, what was expected, what to do next.

Exit codes: 0 done; 1 findings, or clips put aside; 2 bad input; 130 interrupted, 143 terminated, both resumable.
"""

from __future__ import annotations


class SigngenError(Exception):
    """Bad input. `found`, `expected` and `fix` are sentence fragments; the message joins them on one line."""

    exit_code = 2

    def __init__(self, found: str, *, expected: str | None = None, fix: str | None = None) -> None:
        self.found, self.expected, self.fix = found, expected, fix
        parts = [found, f"expected {expected}" if expected else None, fix]
        super().__init__("; ".join(" ".join(part.split()) for part in parts if part))


class OptionError(SigngenError):
    """A value that no call can take: a range, a size, or options that exclude each other."""


class VideoError(SigngenError):
    """A video, frame folder or image that is missing, unreadable or of the wrong size or length."""


class PoseError(SigngenError):
    """Keypoints that are missing, of an unknown format, unsafe to read, or that do not fit the video."""


class PairSetError(SigngenError):
    """A pair set, or the data set it is to be built from, is incomplete or ambiguous."""


class RecipeError(SigngenError):
    """A recipe that cannot be found, or has an unknown key or a bad value."""


class ModelError(SigngenError):
    """A model or run folder that lacks a part, or was made for other poses."""


class WeightsError(SigngenError):
    """Pretrained weights that are not on this machine; the message holds the command that gets them."""


class TextError(SigngenError):
    """Texts of clips that are missing, damaged or do not match, or a recogniser that fails."""


class MetricsError(SigngenError):
    """A file that is no metrics file, or scores that cannot be compared with each other."""


class StudyError(SigngenError):
    """A study that cannot be built from what is there, or answers that are not of this study."""


class Interrupted(SigngenError):
    """Ctrl-C: the state is on disk; the message says how to go on."""

    exit_code = 130


class Terminated(Interrupted):
    """SIGTERM, which schedulers send before they kill: as Ctrl-C."""

    exit_code = 143


def nearest(word: str, candidates: list[str]) -> str | None:
    """The candidate that `word` was probably meant to be, or None."""
    import difflib

    matches = difflib.get_close_matches(word, candidates, n=1, cutoff=0.5)
    return matches[0] if matches else None
