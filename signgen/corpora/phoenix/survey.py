"""Phoenix-2014T and its keypoints in, Survey out: every clip that a quick look finds sound, with keypoints."""

from __future__ import annotations

from pathlib import Path

from signgen.corpora.matching import PairingRow, Unpaired, choose, settle
from signgen.corpora.phoenix.layout import Listed, corpus_folder, listed_clips
from signgen.corpora.phoenix.verify import QuickLook, quick_look
from signgen.corpora.survey import Clip, LeftOut, Survey, check_wanted
from signgen.errors import PairSetError, PoseError, VideoError
from signgen.progress import SILENT, Progress
from signgen.video.reader import open_frames

# Findings for which a clip is left out, and whether it is an error. Others are noted: stray files are no frames,
# coordinates that are not finite are missing points, keypoints of another length are not chosen.
_UNUSABLE = {"absent": False, "gap": True, "empty": True, "unreadable": True}
_VERIFY = "signgen verify ROOT names everything that is missing or damaged"


def survey_phoenix(
    root: Path, keypoints: Path | None, pairing: dict[str, PairingRow], wanted: list[str], progress: Progress = SILENT
) -> Survey:
    """Verify quickly, then pair every sound clip with its keypoints in `keypoints`, a folder or one file.

    wanted: clip names to restrict to; empty means all. Raises PairSetError for missing keypoints or an unknown clip.
    """
    listed = listed_clips(corpus_folder(root))
    if keypoints is None or not keypoints.exists():
        found = f"{root}: Phoenix-2014T without keypoints" if keypoints is None else f"{keypoints}: no such folder"
        raise PairSetError(found, fix="add --keypoints FOLDER with the MSKA or SLRT pickles")
    check_wanted([*wanted, *pairing], {clip.name: None for clip in listed}, root)
    look = quick_look(root, keypoints, wanted, progress)
    survey = Survey(root, "phoenix", report=look.report)
    survey.left_out = [
        LeftOut(finding.where, finding.what, error=True)
        for finding in look.report.findings
        if finding.kind == "damaged-keypoints"
    ]
    _pair(look, pairing, survey)
    used = {clip.name for clip in survey.clips}
    survey.left_out += [
        LeftOut(name, "asked for with --clips, not usable", error=True) for name in wanted if name not in used
    ]
    return survey


def _pair(look: QuickLook, pairing: dict[str, PairingRow], survey: Survey) -> None:
    """Add every clip of the look to `clips` or to `left_out`."""
    unusable = {f.where: f for f in look.report.findings if f.kind in _UNUSABLE}
    seen: dict[str, str] = {}
    for clip in look.listed:
        try:
            row = pairing.get(clip.name)
            if (finding := unusable.get(clip.where)) is not None and not (row and row.video):
                error = _UNUSABLE[finding.kind]
                raise Unpaired(finding.what, error=error, fix=_VERIFY if error else None)
            found = _clip(clip, look, row)
            if clip.name in seen:
                raise Unpaired(f"on disk in {seen[clip.name]} and in {clip.split}; the latter is left out")
            seen[clip.name] = clip.split
            survey.clips.append(found)
        except Unpaired as error:
            survey.left_out.append(LeftOut.of(clip.where, error, error.error))
        except (PoseError, VideoError) as error:
            survey.left_out.append(LeftOut.of(clip.where, error))


def _clip(clip: Listed, look: QuickLook, row: PairingRow | None) -> Clip:
    """A clip that is sound, or whose video --pairing names."""
    footage = open_frames(row.video) if row and row.video else look.there[clip.where]
    if row is not None:
        return Clip.of(clip.name, clip.split, clip.signer, footage, settle(row, clip.name, footage))
    candidates = look.keypoints.candidates(clip)
    if not candidates:
        raise Unpaired("no keypoints in the files of --keypoints", error=False)
    return Clip.of(clip.name, clip.split, clip.signer, footage, choose(clip.name, candidates, footage))
