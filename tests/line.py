"""The line as a user runs it: commands as processes or in this one, and one tiny trained model for all tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from signgen.cli import main
from tests.tiny import set_options
from tests.worlds import write_world


@dataclass(frozen=True)
class Called:
    """What a command left on the terminal."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Line:
    """A world of two clips of 16 frames, its pair set, and the run of a tiny model trained on it."""

    videos: Path
    pairs: Path
    run: Path
    built: Called
    trained: Called

    @property
    def model(self) -> Path:
        return self.run / "model"

    @property
    def video(self) -> Path:
        return self.videos / "clip0.mp4"

    @property
    def poses(self) -> Path:
        return self.videos / "clip0.mmpose.json"


def start(*words: object) -> subprocess.Popen[str]:
    """`signgen WORDS` as a process of its own group, as from a terminal; one thread, no colours."""
    return subprocess.Popen(
        [sys.executable, "-m", "signgen", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell without job control starts its background jobs with SIGINT ignored, which children inherit.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "100", "HF_HUB_OFFLINE": "1"},
    )


def wait_for(happened: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Until it has happened; the process must not end before. What it has to do, not a time, is waited for."""
    for _ in range(12000):
        if happened():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.kill()
    raise AssertionError("it did not happen")


def lines_in(path: Path) -> int:
    """Line ends of a file; 0 where there is none."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


def interrupt(process: subprocess.Popen[str]) -> None:
    """Ctrl-C, as a terminal sends it: to the command and to every process that it has begun."""
    os.killpg(process.pid, signal.SIGINT)


def finish(process: subprocess.Popen[str]) -> Called:
    out, err = process.communicate(timeout=300)
    return Called(process.returncode, out, err)


def make_line(root: Path) -> Line:
    """Two processes: build-pairs and train."""
    videos, pairs, run = write_world(root / "videos"), root / "pairs", root / "run"
    built = finish(start("build-pairs", videos, "--out", pairs))
    # A seed shows in the pixels; with the source as base, a barely trained output is a picture and no noise.
    options = set_options("sampling.steps=2", "sampling.noise_scale=1", "diffusion.base=source")
    trained = finish(start("train", pairs, "--config", "nano", "--out", run, "--device", "cpu", *options))
    assert (built.code, trained.code) == (0, 0), built.err + trained.err
    return Line(videos, pairs, run, built, trained)


class Command:
    """Runs a command in this process through the entry point."""

    def __init__(self, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capfd, self._monkeypatch = capfd, monkeypatch

    def __call__(self, *words: object) -> Called:
        self._monkeypatch.setattr(sys, "argv", ["signgen", *map(str, words)])
        self._capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        out, err = self._capfd.readouterr()
        return Called(int(end.value.code or 0), out, err)

    def works(self, *words: object) -> str:
        """Its output; nothing may be on stderr."""
        called = self(*words)
        assert called.code == 0, called.err
        assert called.err == ""
        return called.out

    def refuses(self, *words: object) -> str:
        """The one line of an exit with code 2."""
        called = self(*words)
        assert called.code == 2
        assert called.err.count("\n") == 1, called.err
        assert called.err.startswith("signgen: error: ")
        assert "Traceback" not in called.out + called.err
        return called.err
