"""A recogniser command of the user's: a video in, its text out; one run per clip."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from signgen.errors import TextError

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
