"""What a rendered file says of its making: written into a video's description and into every image; read again here."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from signgen import __version__
from signgen.files import parse_json
from signgen.video.images import read_text
from signgen.video.reader import VIDEO_SUFFIXES, image_files

_MARK = "signgen:origin="


@dataclass(frozen=True)
class Origin:
    """pose_networks: fingerprints (`signgen.poses.estimators.fingerprint`) of the pose networks that were in the loss
    or the guidance of the model that rendered the file.

    model: its name; weights: a digest of its files; adapter: of its LoRA's. seed: of the noise; settings: of sampling,
    in short. source: the name of what showed the person. Each of them empty, or None, where the file does not say it.
    """

    pose_networks: tuple[str, ...] = ()
    model: str = ""
    weights: str = ""
    adapter: str = ""
    seed: int | None = None
    settings: str = ""
    source: str = ""
    signgen: str = __version__

    def text(self) -> str:
        """ASCII, for a file's metadata."""
        said = {name: value for name, value in asdict(self).items() if value not in ("", None)}
        return _MARK + json.dumps({"synthetic": True, **said})

    @classmethod
    def parse(cls, text: str) -> Origin | None:
        """What `text` wrote, this version's or an older one's; None for any other text."""
        if not text.startswith(_MARK):
            return None
        try:
            said = parse_json(text.removeprefix(_MARK))
            networks, seed = said["pose_networks"], said.get("seed")
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        words = {name: said[name] for name in _WORDS if name in said}
        known = isinstance(networks, list) and all(isinstance(word, str) for word in (*networks, *words.values()))
        return cls(tuple(networks), seed=seed if isinstance(seed, int) else None, **words) if known else None

    def lines(self) -> list[str]:
        """Plain sentences for a reader."""
        model = ", ".join(filter(None, [self.model, f"weights {self.weights}" if self.weights else ""]))
        said = (
            ("model", model),
            ("adapter", self.adapter),
            ("source", self.source),
            ("seed", "" if self.seed is None else str(self.seed)),
            ("sampling", self.settings),
            ("pose networks in its training or guidance", ", ".join(self.pose_networks)),
        )
        made = f"synthetic: no camera saw it; rendered by signgen {self.signgen}"
        return [made, *(f"{name}: {text}" for name, text in said if text)]


_WORDS = ("model", "weights", "adapter", "settings", "source", "signgen")


def origin_of(path: Path) -> Origin | None:
    """Of a video, an image, or a folder of images; of a folder all networks that any of its images names, and else what
    all say alike. None where the file, or one of the images, says nothing."""
    if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file():
        return Origin.parse(_description(path))
    found = [Origin.parse(read_text(file)) for file in (image_files(path) if path.is_dir() else [path])]
    known = [origin for origin in found if origin is not None]
    if not known or len(known) < len(found):
        return None
    networks = tuple(sorted({name for origin in known for name in origin.pose_networks}))
    alike = {replace(origin, pose_networks=networks) for origin in known}
    return alike.pop() if len(alike) == 1 else Origin(networks)


def _description(path: Path) -> str:
    """The description in a container's metadata, empty where there is none."""
    import av

    try:
        with av.open(str(path)) as container:
            return str(container.metadata.get("description") or container.metadata.get("DESCRIPTION") or "")
    except av.FFmpegError:
        return ""  # whether it can be decoded is the reader's to say
