"""Long videos cut into clips by ELAN's annotations or a CSV: frames and poses alike."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from signgen import BuildPairsRequest, build_pairs
from signgen.corpora.segments import Segment, read_segments
from signgen.errors import OptionError, PairSetError, VideoError
from signgen.pairs.pairset import PairSet
from signgen.poses import read_poses
from signgen.video.damage import Damage
from signgen.video.reader import open_frames
from signgen.video.window import FrameWindow
from tests.line import Command
from tests.video.making import ramp, write
from tests.worlds import figure_frames, figure_poses, write_mmpose

FRAMES, FPS = 60, 25

EAF = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT FORMAT="3.0" VERSION="3.0">
  <HEADER TIME_UNITS="milliseconds">{media}</HEADER>
  <TIME_ORDER>
    <TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="200"/><TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="800"/>
    <TIME_SLOT TIME_SLOT_ID="ts3" TIME_VALUE="1200"/><TIME_SLOT TIME_SLOT_ID="ts4"/>
    <TIME_SLOT TIME_SLOT_ID="ts5" TIME_VALUE="2000"/>
  </TIME_ORDER>
  <TIER TIER_ID="sentence" LINGUISTIC_TYPE_REF="t">
    <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
      <ANNOTATION_VALUE>HELLO</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
    <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a2" TIME_SLOT_REF1="ts3" TIME_SLOT_REF2="ts5">
      <ANNOTATION_VALUE>WORLD</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
  </TIER>
  <TIER TIER_ID="gloss" LINGUISTIC_TYPE_REF="t" PARENT_REF="sentence">
    <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a3" TIME_SLOT_REF1="ts3" TIME_SLOT_REF2="ts4">
      <ANNOTATION_VALUE>W</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
  </TIER>
  <TIER TIER_ID="translation" LINGUISTIC_TYPE_REF="t" PARENT_REF="sentence">
    <ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a4" ANNOTATION_REF="a2">
      <ANNOTATION_VALUE>Welt</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>
  </TIER>
  <TIER TIER_ID="empty" LINGUISTIC_TYPE_REF="t"/>
</ANNOTATION_DOCUMENT>
"""


def elan(path: Path, media: str = "", origin: int = 0) -> Path:
    named = f'<MEDIA_DESCRIPTOR MEDIA_URL="{media}" MIME_TYPE="video/mp4" TIME_ORIGIN="{origin}"/>' if media else ""
    path.write_text(EAF.format(media=named))
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with one long video, talk.mp4, and its keypoints; the video's frames all differ."""
    root = tmp_path_factory.mktemp("segments")
    poses = figure_poses(FRAMES)
    write(root / "talk.mp4", figure_frames(poses), rate=FPS)
    write_mmpose(poses, root / "talk.json")
    return root


@pytest.fixture
def clips(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "clips"))


def spans(folder: Path) -> dict[str, tuple[int, int]]:
    return {clip.name: (clip.start, clip.start + clip.num_frames) for clip in PairSet.load(folder).clips}


def test_videos_and_poses_are_cut_alike(clips: Path, tmp_path: Path, command: Command) -> None:
    elan(tmp_path / "talk.eaf", "file:///C:/Users/An%20na/talk.mp4")
    called = command(
        "build-pairs", clips, "--segments", tmp_path / "talk.eaf", "--tier", "sentence", "--out", tmp_path / "p"
    )
    assert called.code == 0, called.err
    pair_set = PairSet.load(tmp_path / "p")
    assert spans(tmp_path / "p") == {"talk_0001": (5, 20), "talk_0002": (30, 50)}
    whole, keypoints = open_frames(clips / "talk.mp4"), read_poses(clips / "talk.json", size=(64, 64)).keypoints
    for clip in pair_set.clips:
        frames, part = pair_set.frames(clip.name), slice(clip.start, clip.start + clip.num_frames)
        np.testing.assert_array_equal(frames.read(), whole.read()[part])
        np.testing.assert_array_equal(pair_set.training_frames(clip.name).pick(np.array([3, 9])), frames.read()[[3, 9]])
        np.testing.assert_allclose(pair_set.poses(clip.name).keypoints, keypoints[part], atol=1e-4)
        assert not np.array_equal(frames.read()[0], whole.read()[0])  # the cut is a cut


@pytest.mark.parametrize("tier", ["translation", "gloss"])
def test_annotations_that_refer_to_others_and_slots_without_a_time(clips: Path, tmp_path: Path, tier: str) -> None:
    """REF annotations have their parent's time; a slot without one lies between its neighbours: 1.2, 1.6, 2.0 s."""
    elan(clips / "talk.eaf")
    build_pairs(BuildPairsRequest(clips, tmp_path / "p", segments=clips / "talk.eaf", tier=tier))
    assert spans(tmp_path / "p") == {"talk_0001": {"translation": (30, 50), "gloss": (30, 40)}[tier]}


def test_a_video_that_begins_later_than_its_annotations(clips: Path, tmp_path: Path) -> None:
    elan(clips / "x.eaf", "talk.mp4", origin=200)
    build_pairs(BuildPairsRequest(clips, tmp_path / "p", segments=clips / "x.eaf", tier="sentence"))
    assert spans(tmp_path / "p") == {"talk_0001": (10, 25), "talk_0002": (35, 55)}


@pytest.mark.parametrize(
    "text",
    [
        "start,end\n0.2,0.8\n1.2,2.0\n",
        "name;start;end\n;0:00.2;0:00:00.8\n;1.2;2\n",
        "video\tstart_frame\tend_frame\ntalk\t30\t50\ntalk.mp4\t5\t20\n",
    ],
)
def test_a_csv(clips: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "list.csv").write_text(text)
    build_pairs(BuildPairsRequest(clips, tmp_path / "p", segments=tmp_path / "list.csv"))
    assert spans(tmp_path / "p") == {"talk_0001": (5, 20), "talk_0002": (30, 50)}


def test_names_of_a_csv_and_a_folder_of_them(clips: Path, tmp_path: Path) -> None:
    for part in ("mp4", "json"):
        shutil.copy(clips / f"talk.{part}", clips / f"other.{part}")
    (clips / "talk.csv").write_text("name,start,end\nhello,0.2,0.8\n")
    built = build_pairs(BuildPairsRequest(clips, tmp_path / "p", segments=clips))
    assert spans(tmp_path / "p") == {"talk_hello": (5, 20)}
    assert [(left.name, left.error) for left in built.left_out] == [("other", False)]


def test_a_segment_outside_of_the_video_is_put_aside(clips: Path, tmp_path: Path, command: Command) -> None:
    (tmp_path / "list.csv").write_text("start,end\n0.2,0.8\n1.2,2.6\n2.61,2.7\n3,9\n")
    called = command("build-pairs", clips, "--segments", tmp_path / "list.csv", "--out", tmp_path / "p")
    assert called.code == 1
    assert spans(tmp_path / "p") == {"talk_0001": (5, 20), "talk_0002": (30, 60)}  # 0.2 s too long: cut at the end
    said = " ".join(called.out.split())
    assert "talk_0003" in said
    assert "talk_0004" in said
    assert "line 5: ends after the video, which has 2.40 s" in said


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("start,end\n0.2,0.8\n0.7,2\n", "line 3: begins before"),
        ("begin,end\n0.2,0.8\n", "the columns are 'begin,end'"),
        ("start,end\nx,0.8\n", "line 2: 'x'"),
        ("start,end\n-1,0.8\n", "line 2: '-1'"),
        ("start,end\n", "no line"),
        ("name,start,end\n../x,0.2,0.8\n", "name '../x'"),
        ("name,start,end\nx,0.2,0.8\nx,1,2\n", "line 3: name 'x'"),
        ("video,start,end\ntakl,0.2,0.8\n", "is for takl; the videos are talk"),
    ],
)
def test_a_csv_that_cannot_be_meant(clips: Path, tmp_path: Path, text: str, found: str) -> None:
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(PairSetError, match=found.replace("(", r"\(").replace(".", r"\.")):
        build_pairs(BuildPairsRequest(clips, tmp_path / "p", segments=tmp_path / "list.csv"))
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize(
    ("tier", "found"),
    [
        (None, r"no --tier; its tiers.*sentence \(2\), gloss \(1\), translation \(1\), empty \(0\)"),
        ("sentense", r"--tier sentense: not in .*sentence \(2\)"),
        ("empty", "tier empty has no annotation"),
    ],
)
def test_the_tiers_are_named(clips: Path, tmp_path: Path, tier: str | None, found: str) -> None:
    elan(clips / "talk.eaf")
    with pytest.raises((OptionError, PairSetError), match=found):
        build_pairs(BuildPairsRequest(clips, tmp_path / "p", segments=clips / "talk.eaf", tier=tier))


def test_what_is_no_elan_document(tmp_path: Path) -> None:
    path = tmp_path / "x.eaf"
    bomb = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    bomb = f'<!DOCTYPE r [<!ENTITY e0 "{"x" * 99}">{bomb}]><r>&e11;</r>'
    for text in ("", "<a>", "<a/>", "start,end\n", EAF.format(media="")[:700], bomb):
        path.write_text(text)
        with pytest.raises(PairSetError, match=r"an \.eaf of ELAN"):
            read_segments(path, "sentence", ["x"])


def test_an_eaf_of_another_video_is_not_guessed(clips: Path, tmp_path: Path) -> None:
    elan(tmp_path / "a.eaf", "file:///media/other.mpg")
    with pytest.raises(PairSetError, match=r"is for file:///media/other\.mpg; the videos are talk"):
        build_pairs(BuildPairsRequest(clips, tmp_path / "p", segments=tmp_path / "a.eaf", tier="gloss"))


def test_where_segments_do_not_belong(clips: Path, tmp_path: Path, command: Command) -> None:
    (tmp_path / "list.csv").write_text("start,end\n0.2,0.8\n")
    for options, found in (
        (["--tier", "x"], "without --segments"),
        (["--segments", tmp_path / "list.csv", "--tier", "x"], "is no .eaf"),
        (["--segments", tmp_path / "none.csv"], "cannot be read"),
    ):
        called = command("build-pairs", clips, *options, "--out", tmp_path / "p")
        assert called.code == 2
        assert found in " ".join(called.err.split())


def test_uneven_frame_times_decide() -> None:
    times = np.array([0, 0.04, 0.08, 0.5, 0.54, 0.9])
    assert Segment(0.05, 0.54, "x").within(6, None, times) == range(2, 4)
    assert Segment(0.05, 0.54, "x").within(60, 25.0, None) == range(2, 14)
    with pytest.raises(PairSetError, match="no rate"):
        Segment(0, 1, "x").within(6, None, None)
    assert Segment(2, 5, "x", frames=True).within(6, None, None) == range(2, 5)


def test_frame_times_and_damage_are_those_of_the_segment(tmp_path: Path) -> None:
    source = open_frames(write(tmp_path / "x.mp4", ramp(40, 64, 48)))
    source.times, source.damaged = np.cumsum(np.arange(40.0)), (Damage(5, 15, "a"), Damage(25, 35, "b"))
    window = FrameWindow(source, 10, 20)
    assert window.times is not None
    np.testing.assert_allclose(window.times, source.times[10:30] - source.times[10])
    assert window.damaged == (Damage(0, 5, "a"), Damage(15, 20, "b"))
    with pytest.raises(VideoError, match="a part of 0:20"):
        window.read(19, 21)


def test_a_store_and_a_second_run_give_the_same(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("start,end\n0.2,0.8\n1.2,2\n")
    for name in ("p", "q"):
        build_pairs(BuildPairsRequest(clips, tmp_path / name, segments=tmp_path / "list.csv", store=name == "q"))
    for part in ("clips.parquet", "triples.parquet"):
        assert (tmp_path / "p" / part).read_bytes() == (tmp_path / "q" / part).read_bytes()
    plain, stored = (PairSet.load(tmp_path / name) for name in ("p", "q"))
    frames = stored.used_frames()["talk_0002"]
    np.testing.assert_array_equal(
        stored.training_frames("talk_0002").pick(frames), plain.training_frames("talk_0002").pick(frames)
    )
    (tmp_path / "list.csv").write_text("start,end\n0.24,0.84\n1.2,2\n")
    build_pairs(BuildPairsRequest(clips, tmp_path / "q", segments=tmp_path / "list.csv"))
    assert PairSet.load(tmp_path / "q").fingerprint != plain.fingerprint


def test_a_video_that_changed(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("start,end\n0.2,0.8\n")
    build_pairs(BuildPairsRequest(clips, tmp_path / "p", segments=tmp_path / "list.csv"))
    write(clips / "talk.mp4", figure_frames(figure_poses(40)), rate=FPS)
    os.utime(clips / "talk.mp4", (1, 1))
    with pytest.raises(PairSetError, match="40 frames of 64x64"):
        PairSet.load(tmp_path / "p").frames("talk_0001")
