"""A recogniser command of the user's: a video in, its text out; one run per clip."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from signgen.errors import TextError
from signgen.evaluation.texts import Texts, composed, match_texts
from signgen.files import write_json
from signgen.progress import SILENT, Progress
from signgen.video.reader import in_natural_order, is_video

PLACE = "{video}"


@dataclass(frozen=True)
class Recogniser:
    """command: as in a shell, with {video} where the path goes; run without one. seconds: that one clip may take."""

    command: str
    seconds: float

    def check(self) -> None:
        """Raises TextError for a command without a place for the video, and for quotes that do not close."""
        try:
            words = shlex.split(self.command)
        except ValueError as error:
            raise TextError(f"--recogniser {self.command!r}: {error}", expected="a command as in a shell") from error
        if not any(PLACE in word for word in words):
            raise TextError(f"--recogniser {self.command!r}", expected=f"{PLACE} where the video's path goes")

    def __call__(self, video: Path) -> str:
        """What it writes to stdout, one line. Raises TextError where it fails, takes too long or writes more."""
        words = [word.replace(PLACE, str(video)) for word in shlex.split(self.command)]
        try:
            done = subprocess.run(
                words, capture_output=True, text=True, timeout=self.seconds, stdin=subprocess.DEVNULL, check=False
            )
        except subprocess.TimeoutExpired as error:
            found = f"the recogniser took more than {self.seconds:g} s for {video}"
            raise TextError(found, fix="give it more with --time-limit") from error
        except (OSError, UnicodeDecodeError) as error:
            raise TextError(f"the recogniser did not run on {video}: {error}") from error
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["it wrote nothing to stderr"])[-1]
            raise TextError(f"the recogniser ended with exit code {done.returncode} on {video}: {last}")
        lines = done.stdout.strip().splitlines()
        if len(lines) > 1:
            expected = "one line, the text; anything else belongs on stderr"
            raise TextError(f"the recogniser wrote {len(lines)} lines for {video}", expected=expected)
        return lines[0].strip() if lines else ""


def recognise_videos(
    folder: Path, references: Texts, recogniser: Recogniser, written: Path, progress: Progress = SILENT
) -> Texts:
    """Hypotheses of the videos in a folder, kept in the JSON file `written` as they come.

    Names are checked before anything runs. Raises TextError for a folder without videos of the references' names.
    """
    recogniser.check()
    if not folder.is_dir():
        raise TextError(f"{folder}: no such folder", expected="a folder of videos, since --recogniser is given")
    videos = {composed(path.stem): path for path in folder.iterdir() if is_video(path)}
    match_texts(Texts(folder, dict.fromkeys(videos, "")), references)
    names, texts = in_natural_order(videos), dict[str, str]()
    try:
        for name in progress.track(names, "recognising"):
            texts[name] = composed(recogniser(videos[name]))
            write_json(written, texts)
    finally:
        if texts:
            progress.note(f"wrote {written}: {len(texts)} of {len(names)} hypotheses")
    return Texts(written, texts)
