"""What a rendered file says of its making: written into an mp4's description and into every PNG; read again here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from signgen import __version__
from signgen.files import parse_json
from signgen.video.images import read_png_text
from signgen.video.reader import VIDEO_SUFFIXES, image_files

_MARK = "signgen:origin="


@dataclass(frozen=True)
class Origin:
    """pose_networks: fingerprints (`signgen.poses.estimators.fingerprint`) of the pose networks that were in the loss
    or the guidance of the model that rendered the file."""

    pose_networks: tuple[str, ...] = ()

    def text(self) -> str:
        """ASCII, for a file's metadata."""
        about = {"synthetic": True, "signgen": __version__, "pose_networks": list(self.pose_networks)}
        return _MARK + json.dumps(about)

    @classmethod
    def parse(cls, text: str) -> Origin | None:
        """What `text` wrote; None for any other text."""
        if not text.startswith(_MARK):
            return None
        try:
            networks = parse_json(text.removeprefix(_MARK))["pose_networks"]
        except (ValueError, KeyError, TypeError):
            return None
        known = isinstance(networks, list) and all(isinstance(name, str) for name in networks)
        return cls(tuple(networks)) if known else None


def origin_of(path: Path) -> Origin | None:
    """Of a video, an image, or a folder of images; of a folder all networks that any of its images names. None where
    the file, or one of the images, says nothing."""
    if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file():
        return Origin.parse(_description(path))
    found = [Origin.parse(read_png_text(file)) for file in (image_files(path) if path.is_dir() else [path])]
    known = [origin for origin in found if origin is not None]
    if not known or len(known) < len(found):
        return None
    return Origin(tuple(sorted({name for origin in known for name in origin.pose_networks})))


def _description(path: Path) -> str:
    """The description in a container's metadata, empty where there is none."""
    import av

    try:
        with av.open(str(path)) as container:
            return str(container.metadata.get("description") or container.metadata.get("DESCRIPTION") or "")
    except av.FFmpegError:
        return ""  # whether it can be decoded is the reader's to say
