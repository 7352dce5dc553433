"""A video, frame folder or image in; the keypoints that lie beside it out."""

from __future__ import annotations

from pathlib import Path

from signgen.corpora.matching import NO_KEYPOINTS
from signgen.corpora.survey import Candidate, identify_all
from signgen.corpora.video_folder import survey_videos
from signgen.errors import PoseError
from signgen.poses.sequence import PoseSequence
from signgen.video.reader import image_files, is_video, open_frames


def is_footage(path: Path) -> bool:
    """Whether it is a video or a folder of images."""
    return is_video(path) or (path.is_dir() and bool(image_files(path)))


def poses_beside(path: Path, option: str) -> tuple[PoseSequence, Path] | None:
    """The keypoints of a clip or image, by its name (X.*, X_* or X/ beside X), and their file; None where none is.

    option: the one that names them. Raises PoseError for keypoints that are damaged or ambiguous.
    """
    fix = f"name the keypoints themselves with {option}"
    return _of_clip(path, fix) if is_footage(path) else _of_image(path, fix)


def _of_clip(path: Path, fix: str) -> tuple[PoseSequence, Path] | None:
    name = path.stem if path.is_file() else path.name
    survey = survey_videos(path.resolve().parent, None, {}, [name])
    if not survey.clips:
        wrong = [left.found for left in survey.left_out if left.name == name and left.found not in ("", NO_KEYPOINTS)]
        if wrong:
            raise PoseError(f"{path}: {wrong[0]}", fix=fix)
        return None
    clip = survey.clips[0]
    return clip.poses(), clip.keypoints.file.path


def _of_image(path: Path, fix: str) -> tuple[PoseSequence, Path] | None:
    beside = [
        other
        for other in sorted(path.resolve().parent.iterdir())
        if other.name.startswith((f"{path.stem}.", f"{path.stem}_")) and other.name != path.name
    ]
    files = [file for file in identify_all(beside, []) if list(file.frames.values()) == [1]]
    if not files:
        return None
    if len(files) > 1:
        names = ", ".join(file.path.name for file in files)
        raise PoseError(f"{path}: several keypoints beside it ({names})", fix=fix)
    candidate = Candidate(files[0], files[0].clips[0] if files[0].clips else "")
    return candidate.read(open_frames(path), None), files[0].path
