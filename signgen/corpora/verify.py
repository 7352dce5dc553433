"""Raw data sets in, reports of what is missing or damaged out: `signgen verify`, and what `build-pairs` leaves out."""

from pathlib import Path

from signgen.corpora.findings import Report
from signgen.corpora.person.verify import verify_images
from signgen.corpora.phoenix.layout import find_root
from signgen.corpora.phoenix.verify import verify_phoenix
from signgen.progress import SILENT, Progress


def verify(
    root: Path, keypoints: Path | None = None, full: bool = False, processes: int = 1, progress: Progress = SILENT
) -> Report:
    """Recognise the data set by what is in `root`, and look through it. Raises PairSetError for any other folder."""
    look = verify_phoenix if find_root(root) is not None else verify_images
    return look(root, keypoints, full, processes, progress)
