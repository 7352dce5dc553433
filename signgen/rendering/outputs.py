"""Where a rendering goes: an --out and options in; the files, checked, out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from signgen.errors import SigngenError
from signgen.video.codecs import CODECS, DEFAULT, check_encoder, check_suffix
from signgen.video.credentials import Credentials
from signgen.video.display import sample_aspect
from signgen.video.sound import Sound

MAIN, SIDE_BY_SIDE, SKELETON = "main", "side-by-side", "skeleton"
STILLS = (".png", ".webp")
PNG_BITS = 10  # of a pixel, about, in a clip of a person


@dataclass(frozen=True)
class Outputs:
    """Where to write. `video` with one pose becomes an image; the other files are optional.

    sample_aspect: how wide a pixel is shown by its height; None: see `display.sample_aspect`. times: seconds of every
    frame that is written, where they come unevenly. description: kept in every file (`signgen.video.origin`).
    codec: of the videos. frames_format: of the images in the folder `frames`. skeleton: also the poses drawn over the
    frames. sound: goes into the video. credentials: what the videos, or the still, are signed with.
    """

    video: Path
    fps: float
    side_by_side: bool = False
    frames: Path | None = None
    sample_aspect: Fraction | None = None
    times: np.ndarray | None = None
    description: str = ""
    codec: str = DEFAULT
    frames_format: str = "png"
    skeleton: bool = False
    sound: Sound | None = None
    credentials: Credentials | None = None

    def files(self, count: int) -> dict[str, Path]:
        """MAIN, SIDE_BY_SIDE and SKELETON, as far as they are wanted: the file for `count` frames."""
        main = self.video if count > 1 or self.video.suffix in STILLS else self.video.with_suffix(".png")
        wanted = {MAIN: True, SIDE_BY_SIDE: self.side_by_side, SKELETON: self.skeleton}
        names = [kind for kind, is_wanted in wanted.items() if is_wanted]
        return {kind: main if kind == MAIN else main.with_name(f"{main.stem}.{kind}{main.suffix}") for kind in names}

    def check(self, count: int, inputs: Iterable[Path], size: tuple[int, int]) -> None:
        """Raises SigngenError for a name that fits neither the codec nor, for one frame, an image, and for an input's;
        OptionError for a codec that this machine does not write. size: width and height of the frames."""
        if count > 1 and self.video.suffix in STILLS:
            raise SigngenError(f"--out {self.video} for {count} frames", expected="a file name that ends in .mp4")
        if self.video.suffix not in STILLS:
            check_suffix(self.video, self.codec, sample_aspect(*size, self.sample_aspect))
            if count > 1:
                check_encoder(self.codec)
        if self.credentials is not None:
            self.credentials.check(self.files(count)[MAIN].suffix)
        for given in inputs:
            for path in self.files(count).values():
                if path.exists() and given.exists() and path.samefile(given):
                    raise SigngenError(f"{path} is an input, and would be overwritten", fix="choose another --out")

    def estimated_bytes(self, count: int, size: tuple[int, int], panels: int) -> dict[Path, int]:
        """Folder -> about how much is written there: videos twice, since segments are joined at the end. size: width
        and height of the frames; panels: of the side-by-side video."""
        pixels = count * size[0] * size[1]
        bits = 2 * CODECS[self.codec].bits if count > 1 else PNG_BITS
        widths = sum(panels if kind == SIDE_BY_SIDE else 1 for kind in self.files(count))
        found = {self.video.parent: int(widths * bits * pixels / 8)}
        if self.frames is not None:
            found[self.frames] = found.get(self.frames, 0) + int(PNG_BITS * pixels / 8)
        return found
