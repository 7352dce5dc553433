"""All weights that signgen can use: what there is, what is here, and how it gets here.

Models and pose networks lie in the Hub's cache, networks of metrics where metrics look for them
(signgen/metrics/weights.py).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from signgen.errors import WeightsError, nearest
from signgen.files import atomic_path
from signgen.metrics.distribution.i3d import I3D, R3D
from signgen.metrics.distribution.inception import WEIGHTS
from signgen.metrics.image.lpips import TRUNKS
from signgen.metrics.weights import WeightsFile
from signgen.models import hub_weights
from signgen.models.hub_weights import HUB_WEIGHTS, HubWeights

State = Literal["here", "missing", "damaged"]
_PREFIX = re.compile(r"-([0-9a-f]{8})\.pth$")  # torch's rule: a file's name ends in the first digits of its sha256


@dataclass(frozen=True)
class MetricWeights:
    """A file of a metric's network. Sizes are those of the published files, rounded."""

    file: WeightsFile
    gigabytes: float
    licence: str
    use: str
    kind: str = "metric"

    @property
    def name(self) -> str:
        """As it is asked for."""
        return self.file.name


METRIC_WEIGHTS = (
    MetricWeights(TRUNKS["alex"], 0.24, "BSD-3-Clause (torchvision)", "LPIPS"),
    MetricWeights(TRUNKS["vgg"], 0.55, "BSD-3-Clause (torchvision)", "LPIPS-VGG"),
    MetricWeights(WEIGHTS["torchvision"], 0.11, "BSD-3-Clause (torchvision)", "FID of the research tools"),
    MetricWeights(WEIGHTS["pytorch-fid"], 0.10, "Apache-2.0", "FID and KID of strict, FID of clips"),
    MetricWeights(I3D, 0.05, "Apache-2.0", "FVD"),
    MetricWeights(R3D, 0.13, "BSD-3-Clause (torchvision)", "FVD with R3D-18"),
)
Entry = HubWeights | MetricWeights
TABLE: dict[str, Entry] = {entry.name: entry for entry in (*HUB_WEIGHTS, *METRIC_WEIGHTS)}


def entry_of(name: str) -> Entry:
    """Raises WeightsError for an unknown name."""
    if name not in TABLE:
        close = nearest(name, list(TABLE))
        raise WeightsError(
            f"no weights named {name!r}",
            expected=f"one of {', '.join(TABLE)}",
            fix=f"did you mean {close}?" if close else None,
        )
    return TABLE[name]


def place_of(entry: Entry) -> Path | None:
    """Where they are on this machine; None where they are not."""
    if isinstance(entry, HubWeights):
        return hub_weights.cached_folder(entry)
    try:
        return entry.file.find()
    except WeightsError:
        return None


def check(entry: Entry) -> tuple[State, str]:
    """Whether the weights are here and whole, every byte read; and where, or what is wrong."""
    place = place_of(entry)
    if place is None:
        return "missing", fetch_command(entry)
    if isinstance(entry, HubWeights):
        absent = hub_weights.missing_files(entry, place)
        if absent:
            return "missing", f"{', '.join(absent)} of it; {fetch_command(entry)}"
        broken = [str(path) for path in hub_weights.files_of(entry, place) if not hub_weights.is_whole(path)]
        return ("damaged", ", ".join(broken)) if broken else ("here", str(place))
    return ("here", str(place)) if has_its_hash(place) else ("damaged", str(place))


def has_its_hash(path: Path, name: str | None = None) -> bool:
    """Whether the file has the hash in its name, if there is one in it. name: that it will have."""
    wanted = _PREFIX.search(name or path.name)
    return wanted is None or hub_weights.file_sha256(path).startswith(wanted[1])


def fetch_command(entry: Entry) -> str:
    """What gets the weights."""
    unknown = isinstance(entry, HubWeights) and entry.revision is None
    return f"signgen weights fetch {entry.name}{' --revision main' if unknown else ''}"


def fetch(entry: Entry, revision: str | None = None) -> Path:
    """Get the weights, verify them, say where they are. Raises WeightsError."""
    if isinstance(entry, HubWeights):
        return hub_weights.fetch(entry, revision)
    found = place_of(entry)
    return found if found is not None and has_its_hash(found) else _download(entry.file)


def _download(file: WeightsFile) -> Path:
    """By torch.hub's own function, to where metrics look; a file is there whole or not at all."""
    from torch.hub import download_url_to_file

    target = file.target()
    try:
        with atomic_path(target) as temporary:
            download_url_to_file(file.url, str(temporary), progress=False)
            if not has_its_hash(temporary, target.name):
                raise WeightsError(f"{target.name}: arrived damaged", fix="the same command fetches it again")
    except OSError as error:  # URLError among them
        raise WeightsError(f"{file.url}: cannot be fetched ({error})", fix="the same command tries it again") from error
    return target


def table_rows(names: Sequence[str] = ()) -> list[list[str]]:
    """For every entry, or those named: name, kind, size, licence, use, and whether it is here (not verified)."""
    entries = [entry_of(name) for name in names] or list(TABLE.values())
    return [
        [e.name, e.kind, f"{e.gigabytes:.2f} GB", e.licence, e.use, "here" if place_of(e) else "missing"]
        for e in entries
    ]
