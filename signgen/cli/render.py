"""`signgen render`: reads a source, poses and a model; writes the video and, where the truth is known, its scores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from signgen.cli import render_options as given
from signgen.cli.options import (
    BackgroundColour,
    Crop,
    Device,
    Person,
    Seed,
    Threads,
)
from signgen.cli.results import print_result
from signgen.cli.sampling import with_sampling
from signgen.console import Bars, console
from signgen.video.codecs import DEFAULT

if TYPE_CHECKING:
    from signgen.evaluation.render import RenderResult


@with_sampling()
def render(
    source: given.Source,
    poses: given.Poses,
    model: given.Model,
    out: given.Out,
    lora: given.Lora = None,
    clip: given.Clip = None,
    frames: given.Frames = None,
    clean: given.Clean = False,
    person: Person = None,
    source_poses: given.SourcePoses = None,
    references: given.References = None,
    reference_poses: given.ReferencePoses = None,
    reference_frames: given.ReferenceFrames = None,
    garment: given.Garment = None,
    garment_poses: given.GarmentPoses = None,
    retarget: given.Retarget = "none",
    truth: given.Truth = "auto",
    pairs: given.Pairs = None,
    codec: given.Codec = DEFAULT,
    audio: given.Audio = None,
    side_by_side: given.SideBySide = False,
    skeleton_overlay: given.Skeleton = False,
    report: given.Report = False,
    save_frames: given.SaveFrames = None,
    frames_format: given.FramesFormat = "png",
    fps: given.Fps = None,
    credentials: given.Credentials = None,
    resume: given.Resume = False,
    dry_run: given.DryRun = False,
    background: BackgroundColour = None,
    crop: Crop = "auto",
    *,
    sampling: dict[str, Any],
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Render a signer frame by frame: one image of the person, one output frame per pose.

    With the truth at hand, OUT.metrics.json and OUT.per_frame.csv are written too.
    """
    from signgen.evaluation.render import RenderRequest, render

    result = render(
        RenderRequest(
            source,
            poses,
            model,
            out,
            clip=clip,
            frames=frames,
            clean=clean,
            source_poses=source_poses,
            references=references,
            reference_poses=reference_poses,
            reference_frames=reference_frames,
            garment=garment,
            garment_poses=garment_poses,
            retarget=retarget,
            truth=truth,
            needs_truth=report,
            pairs=pairs,
            codec=codec,
            audio=audio,
            side_by_side=side_by_side,
            skeleton_overlay=skeleton_overlay,
            save_frames=save_frames,
            frames_format=frames_format,
            fps=fps,
            credentials=credentials,
            resume=resume,
            dry_run=dry_run,
            background=background,
            crop=crop,
            sampling=sampling,
            seed=seed,
            device=device,
            threads=threads,
            person=person,
            lora=lora,
        ),
        Bars(),
    )
    if dry_run:
        return
    console.print("wrote " + ", ".join(map(str, result.written)), markup=False)
    if result.scores is not None:
        written = [*result.score_files, *([_write_report(result)] if report else [])]
        print_result(result.scores)
        console.print(f"wrote {', '.join(map(str, written))}", markup=False)


def _write_report(result: RenderResult) -> Path:
    """OUT.report.html: the frames of the written file beside the truth's."""
    from signgen.reporting.clip_report import ClipFrames, write_clip_report
    from signgen.video.reader import open_frames

    assert result.scores is not None
    assert result.job.truth is not None
    video, job, truth = result.written[0], result.job, result.job.truth
    note = f"Generated pictures are those of {video.name}; scores were taken before it was encoded."
    keypoints = job.keypoints.resized(truth.width, truth.height).keypoints
    shown = ClipFrames(open_frames(video), truth, -job.part.start, keypoints, note)
    page = video.with_suffix("").with_name(f"{video.with_suffix('').name}.report.html")
    links = {path.name: path.name for path in (video, *result.score_files)}
    return write_clip_report(result.scores, shown, page, links)
