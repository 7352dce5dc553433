"""The README's pictures from a finished demo: `python docs/make_pictures.py demo` writes strip.png and seen.gif here.

Only drawn signers are shown: no picture of a real person is part of the project.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from signgen.video.reader import open_frames, write_png

CASES = ("seen", "unseen", "crossed")
HERE = Path(__file__).parent


def panels(demo: Path, case: str, frames: list[int]) -> np.ndarray:
    """uint8 (N, H, 4 W, 3): source | pose | output | truth."""
    video = open_frames(demo / f"{case}.side-by-side.mp4")
    return np.stack([video.read(frame, frame + 1)[0] for frame in frames])


def main(demo: Path) -> None:
    count = open_frames(demo / "seen.mp4").num_frames
    rows = [panels(demo, case, [count // 2])[0] for case in CASES]
    write_png(HERE / "strip.png", np.concatenate(rows))
    moving = [Image.fromarray(frame) for frame in panels(demo, "seen", list(range(0, count, 2)))]
    small = [frame.resize((frame.width * 3 // 4, frame.height * 3 // 4)).quantize(128) for frame in moving]
    small[0].save(HERE / "seen.gif", save_all=True, append_images=small[1:], duration=80, loop=0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
