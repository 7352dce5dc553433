"""A folder of videos with their keypoints in, Survey out: for a video X, keypoints are X.* and X_* beside it.

A folder named X itself also counts, since OpenPose writes there. Where videos X and X_2 both exist, X_2.json belongs
to X_2. Keypoints are never guessed: what has none, or too many, is named and left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from signgen.corpora.matching import PairingRow, Unpaired, choose, settle
from signgen.corpora.segments import Segment, read_segments
from signgen.corpora.survey import Candidate, Clip, LeftOut, Survey, check_wanted, identify_all
from signgen.errors import PairSetError, PoseError, VideoError
from signgen.poses import PoseFile
from signgen.progress import SILENT, Progress
from signgen.video.background import RGB
from signgen.video.reader import image_files, is_video, open_frames


def survey_videos(
    root: Path,
    keypoints: Path | None,
    pairing: dict[str, PairingRow],
    wanted: list[str],
    progress: Progress = SILENT,
    background: RGB | None = None,
    segments: Segments | None = None,
) -> Survey:
    """Pair every video or frame folder directly in `root` with its keypoints there (or in `keypoints`).

    wanted: names of videos to restrict to; empty means all. background: see `open_frames`. segments: runs of the videos
    that become the clips; a video without any is left out. Raises PairSetError for a root without videos, an unknown
    clip or damaged segments; everything else that is wrong is listed in the survey.
    """
    if not root.is_dir():
        raise PairSetError(
            f"{root}: no such folder", expected="a folder of videos with their keypoints, or Phoenix-2014T"
        )
    survey = Survey(root, "videos")
    videos = _videos(root, pairing)
    if not videos:
        raise PairSetError(
            f"{root}: no videos and no frame folders in it", expected="videos with keypoints beside them"
        )
    check_wanted(wanted, videos, root)
    entries = _entries(keypoints or root)
    owned = _by_owner(entries, videos)
    cuts = read_segments(segments.path, segments.tier, videos) if segments else {}
    for name in progress.track([name for name in videos if not wanted or name in wanted], "looking at clips"):
        damaged: list[LeftOut] = []
        try:
            if segments and name not in cuts:
                raise Unpaired(f"no segment of it in {segments.path}", error=False)
            clip = _clip(name, videos, owned.get(name, []), pairing.get(name), damaged, background)
            survey.clips += _cut(clip, cuts[name], survey.left_out) if segments else [clip]
            damaged = [LeftOut(d.name, d.reason) for d in damaged]
        except Unpaired as error:
            survey.left_out.append(LeftOut.of(name, error, error.error or name in wanted))
        except (PoseError, VideoError) as error:
            survey.left_out.append(LeftOut.of(name, error))
        survey.left_out.extend(damaged)
    if not wanted:
        survey.left_out += _unclaimed(owned.get(None, []), pairing)
    return survey


_ONE_FRAME = re.compile(r"_\d{6,}_keypoints\.json$")  # as OpenPose's --write_json names a frame's file


@dataclass(frozen=True)
class Segments:
    """Where the runs of the videos are listed (`signgen.corpora.segments`). tier: of an .eaf."""

    path: Path
    tier: str | None = None


def _cut(clip: Clip, segments: list[Segment], left_out: list[LeftOut]) -> list[Clip]:
    """VIDEO_0001 and so on, or VIDEO_NAME; a segment that does not lie in the video is named and left out."""
    runs: dict[str, range] = {}
    for number, segment in enumerate(segments, start=1):
        name = f"{clip.name}_{segment.name or f'{number:04d}'}"
        try:
            runs[name] = segment.within(clip.num_frames, clip.fps, clip.times)
        except PairSetError as error:
            left_out.append(LeftOut.of(name, error))
    return clip.cut(runs)


def _unclaimed(entries: list[Path], pairing: dict[str, PairingRow]) -> list[LeftOut]:
    """Keypoint files that no video's name begins with: a name that was spelled in another way is seen here."""
    named = {row.keypoints.resolve() for row in pairing.values()}
    others = [e for e in entries if e.resolve() not in named]
    found = [file for file in identify_all(others, []) if not file.clips]
    reason = "keypoints, but no video here has a name that theirs begins with; --pairing FILE.csv names their video"
    return [LeftOut(file.path.name, reason) for file in found]


def _videos(root: Path, pairing: dict[str, PairingRow]) -> dict[str, list[Path]]:
    """Clip name -> its video files or frame folders (more than one where names clash)."""
    videos: dict[str, list[Path]] = {}
    for path in sorted(root.iterdir()):
        if path.name.startswith("."):
            continue
        if is_video(path):
            videos.setdefault(path.stem, []).append(path)
        elif path.is_dir() and image_files(path):
            videos.setdefault(path.name, []).append(path)
    for name, row in pairing.items():
        if row.video is not None:
            videos[name] = [row.video]
        elif name not in videos:
            raise PairSetError(f"--pairing: clip {name} is not a video in {root}", fix="fill the column video")
    return videos


def _entries(place: Path) -> list[Path]:
    if not place.exists():
        raise PairSetError(f"{place}: no such file or folder", expected="keypoints")
    return sorted(p for p in place.iterdir() if not p.name.startswith(".")) if place.is_dir() else [place]


def _clip(
    name: str,
    videos: dict[str, list[Path]],
    owned: list[Path],
    row: PairingRow | None,
    damaged: list[LeftOut],
    background: RGB | None,
) -> Clip:
    paths = videos[name]
    if len(paths) > 1:
        fix = "name the one with --pairing FILE.csv (clip,video,keypoints)"
        raise Unpaired(f"ambiguous: {', '.join(p.name for p in paths)} share the name", fix=fix)
    belonging = [] if row else [entry for entry in owned if entry not in paths]
    if len(single := [e for e in belonging if _ONE_FRAME.search(e.name)]) > 1:
        found = f"{len(single)} keypoint files of one frame each ({single[0].name} ...)"
        raise Unpaired(found, fix=f"move them into a folder named {name} beside {paths[0].name}")
    files = identify_all(belonging, damaged)
    candidates = [candidate for file in files for candidate in _candidates(file, name)]
    if not row and not candidates and damaged:
        raise Unpaired(f"its keypoints cannot be read: {', '.join(d.name for d in damaged)}")
    source = open_frames(paths[0], background=background)
    chosen = settle(row, name, source) if row else choose(name, candidates, source)
    return Clip.of(name, "train", row.signer if row else "", source, chosen)


def _by_owner(entries: list[Path], videos: dict[str, list[Path]]) -> dict[str | None, list[Path]]:
    """The entries of each video, and of None those of no video; once for all clips, since there may be thousands."""
    owned: dict[str | None, list[Path]] = {}
    for entry in entries:
        owned.setdefault(_owner(entry.name, videos), []).append(entry)
    return owned


def _owner(entry: str, videos: dict[str, list[Path]]) -> str | None:
    """The longest video name X with X = entry, or which X. or X_ begins."""
    ends = [len(entry), *(place for place in range(len(entry) - 1, 0, -1) if entry[place] in "._")]
    return next((entry[:end] for end in ends if entry[:end] in videos), None)


def _candidates(file: PoseFile, name: str) -> list[Candidate]:
    """A file of one clip as it is; of many, the clip of that name."""
    if not file.clips:
        return [Candidate(file)]
    same = [clip for clip in file.clips if clip.rpartition("/")[2] == name]
    same = same or [clip for clip in file.listings if name.endswith(clip)]  # cameras: video X_a1 of X's file
    return [Candidate(file, clip) for clip in same or (file.clips if len(file.clips) == 1 else [])]
