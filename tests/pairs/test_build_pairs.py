"""build-pairs from end to end: what is paired, what is named and left out, exit codes, and bytes."""

from __future__ import annotations

import gc
import json
import os
import pickle
import shutil
import struct
import weakref
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from signgen.cli.build_pairs import build_pairs
from signgen.errors import PairSetError, SigngenError
from signgen.pairs.pairset import PairSet
from signgen.poses import PoseSequence
from signgen.video.reader import write_png
from tests.corpora.corpora import person, write_mmpose, write_phoenix, write_slrt, write_video

JUNE = "25June_2010_Friday_tagesschau-3880"


def run(*arguments: object) -> tuple[int, str]:
    """Exit code and output, all errors on one line at its end, as the command line gives them."""
    app = typer.Typer()
    app.command()(build_pairs)
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if isinstance(result.exception, SigngenError):
        return result.exception.exit_code, f"{result.output}error: {result.exception}"
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Clip a with MMPose keypoints; clip b, 20 frames, with two frames without a person."""
    root = tmp_path / "videos"
    root.mkdir()
    write_video(root / "a.mp4")
    write_mmpose(root / "a.mmpose133.json")
    write_video(root / "b.mp4", 20)
    write_mmpose(root / "b_keypoints.json", 20, empty=(0, 7))
    return root


class TestSigners:
    def test_as_they_lie_there(self, testdata: Path, tmp_path: Path) -> None:
        code, output = run(testdata / "signers", "--out", tmp_path / "p")
        assert code == 0
        assert "human_signer.mp4 + human_signer_dwpose (dwpose" in output
        assert "football.mp4 + football.mmpose133.json (mmpose, 133 points, 62 frames)" in output
        assert "openpose_sample.mp4 + openpose_sample (openpose" in output
        for name in ("football.overlay", "human_signer.dwpose_render", "human_signer.input30fps"):
            assert f"left out {name}: no keypoints" in output
        assert "1 frames without a person" in output  # the black last frame
        pairs = PairSet.load(tmp_path / "p")
        assert [(c.name, c.num_frames, c.holdout_start, c.fps) for c in pairs.clips] == [
            ("football", 62, 46, 29.97),
            ("human_signer", 97, 72, 24.0),
            ("openpose_sample", 9, 6, 24.0),
        ]
        val = pairs.triples("val")
        assert val[val["clip"] == 1]["target"].tolist() == list(range(72, 96))
        assert len(pairs.poses("human_signer")) == pairs.frames("human_signer").num_frames

    def test_chosen_clips(self, testdata: Path, tmp_path: Path) -> None:
        root, out = testdata / "signers", tmp_path / "p"
        assert run(root, "--out", out, "--clips", "human_signer", "football")[0] == 0
        assert [clip.name for clip in PairSet.load(out).clips] == ["football", "human_signer"]
        code, output = run(root, "--out", out, "--clips", "footbal")
        assert code == 2
        assert "did you mean football?" in output
        assert len(PairSet.load(out).clips) == 2
        assert run(root, "--out", out, "--clips", "football", "football.overlay")[0] == 1


class TestMiniaturePhoenix:
    @pytest.fixture
    def phoenix(self, testdata: Path) -> Path:
        return testdata / "phoenix"

    @pytest.mark.parametrize("inner", ["", "PHOENIX-2014-T"])
    def test_as_it_lies_there(self, phoenix: Path, tmp_path: Path, inner: str) -> None:
        root = phoenix / "PHOENIX-2014-T-release-v3" / inner
        code, output = run(root, "--keypoints", phoenix / "keypoints", "--out", tmp_path / "p")
        assert code == 0
        assert "clip_b + Phoenix-2014T.train (mska" in output
        assert f"{JUNE} + Phoenix-2014T.test (mska" in output
        assert "left out train/25October_2010_Monday_tagesschau-17: listed in the train corpus, not on disk" in output
        assert "left out dev/25October_2010_Monday_tagesschau-17: no keypoints" in output
        assert "no dev clips: the last 25%" in output
        pairs = PairSet.load(tmp_path / "p")
        assert [(c.name, c.split, c.signer, c.fps, c.holdout_start) for c in pairs.clips] == [
            ("clip_b", "train", "Signer05", 25.0, 72),
            (JUNE, "test", "Signer01", 25.0, 0),
        ]
        assert (pairs.triples("train")["clip"] == 0).all()
        assert pairs.triples("train")["target"].max() == 71
        assert pairs.triples("test")["target"].tolist() == list(range(49))
        assert pairs.frames("clip_b").read(0, 1).shape == (1, 260, 210, 3)

    def test_a_named_test_clip_with_holdout_tail_is_a_study_of_its_own(self, phoenix: Path, tmp_path: Path) -> None:
        common = (phoenix / "PHOENIX-2014-T-release-v3", "--keypoints", phoenix / "keypoints", "--out", tmp_path / "p")
        code, output = run(*common, "--clips", JUNE, "--holdout-tail", "0.25")
        assert code == 0
        assert f"{JUNE} is of the corpus's test split: trained on" in output
        pairs = PairSet.load(tmp_path / "p")
        assert pairs.triples("train")["target"].max() == 35
        assert pairs.triples("val")["target"].tolist() == list(range(36, 49))
        code, output = run(*common, "--clips", JUNE)
        assert code == 2
        assert "nothing to train on" in output
        assert "--holdout-tail" in output

    def test_keypoints_are_needed(self, phoenix: Path, tmp_path: Path) -> None:
        code, output = run(phoenix / "PHOENIX-2014-T-release-v3", "--out", tmp_path / "p")
        assert code == 2
        assert "--keypoints FOLDER" in output


class TestPairing:
    def test_overlays_and_clips_with_longer_names(self, videos: Path, tmp_path: Path) -> None:
        write_video(videos / "a.overlay.mp4")
        write_video(videos / "a_2.mp4", 5)
        write_mmpose(videos / "a_2.json", 5)
        code, output = run(videos, "--out", tmp_path / "p")
        assert code == 0
        assert "a: a.mp4 + a.mmpose133.json" in output
        assert "a_2: a_2.mp4 + a_2.json" in output
        assert "left out a.overlay: no keypoints" in output

    def test_more_points_win(self, videos: Path, tmp_path: Path) -> None:
        write_mmpose(videos / "a.coco17.json", points=17)
        assert "a: a.mp4 + a.mmpose133.json" in run(videos, "--out", tmp_path / "p")[1]

    def test_formats_with_less_or_the_same_lie_beside(self, videos: Path, tmp_path: Path) -> None:
        body = np.stack([person(n) for n in range(8)])
        np.save(videos / "a.features.npy", np.zeros((8, 512)))
        np.save(videos / "a.body.npy", body[:, :17])
        np.save(videos / "a.whole.npy", body)
        (videos / "a.broken.pose").write_bytes(struct.pack("<f5H", 0.2, 64, 48, 0, 1, 4) + b"BODY")
        code, output = run(videos, "--out", tmp_path / "p")
        assert code == 0
        assert "a: a.mp4 + a.whole.npy" in output
        assert "a.broken.pose: damaged" in " ".join(output.split())

    def test_ambiguous_is_put_aside_until_settled(self, videos: Path, tmp_path: Path) -> None:
        write_mmpose(videos / "a_other.json", shift=3)
        code, output = run(videos, "--out", tmp_path / "p")
        assert code == 1
        assert "put aside a: ambiguous: a_other.json, a.mmpose133.json" in output
        assert [clip.name for clip in PairSet.load(tmp_path / "p").clips] == ["b"]
        table = tmp_path / "pairing.csv"
        table.write_text("clip,video,keypoints\na,,a_other.json\n")
        code, output = run(videos, "--out", tmp_path / "p", "--pairing", table)
        assert code == 0
        assert "a: a.mp4 + a_other.json" in output

    def test_copies_of_the_same_keypoints_are_not_ambiguous(self, videos: Path, tmp_path: Path) -> None:
        shutil.copy(videos / "a.mmpose133.json", videos / "a_copy_of_it.json")
        code, output = run(videos, "--out", tmp_path / "p")
        assert code == 0
        assert "a: a.mp4 + a.mmpose133.json" in output

    @pytest.mark.parametrize("frames", [5, 11])
    def test_another_number_of_frames(self, videos: Path, tmp_path: Path, frames: int) -> None:
        write_mmpose(videos / "a.mmpose133.json", frames)
        code, output = run(videos, "--out", tmp_path / "p")
        assert code == 1
        assert f"put aside a: a.mmpose133.json holds {frames} frames, the video 8" in output
        assert "--pairing" in output

    def test_two_videos_of_one_name(self, videos: Path, tmp_path: Path) -> None:
        shutil.copy(videos / "a.mp4", videos / "a.mkv")
        code, output = run(videos, "--out", tmp_path / "p")
        assert code == 1
        assert "put aside a: ambiguous: a.mkv, a.mp4 share the name" in output

    def test_damaged_and_hostile_files(self, videos: Path, tmp_path: Path) -> None:
        (videos / "a.mp4").write_bytes((videos / "a.mp4").read_bytes()[:800])
        write_video(videos / "c.mp4")

        class Evil:
            def __reduce__(self) -> tuple:
                return os.system, (f"touch {tmp_path / 'ran'}",)

        (videos / "c.pkl").write_bytes(pickle.dumps(Evil()))
        code, output = run(videos, "--out", tmp_path / "p")
        assert code == 1
        assert "put aside a:" in output
        assert "put aside c: its keypoints cannot be read" in output
        assert ".system" in output
        assert not (tmp_path / "ran").exists()
        assert [clip.name for clip in PairSet.load(tmp_path / "p").clips] == ["b"]

    def test_frame_folder_npz_and_pickle_of_many_clips(self, videos: Path, tmp_path: Path) -> None:
        from signgen.poses import read_poses
        from signgen.video.reader import write_png

        for number in range(6):
            write_png(videos / "c" / f"{number}.png", np.zeros((48, 64, 3), np.uint8))
        read_poses(write_mmpose(tmp_path / "c.json", 6), size=(64, 48)).save(videos / "c.poses.npz")
        write_video(videos / "d.mp4", 4)
        write_slrt(videos / "d.pkl", {"train/d": 4, "train/other": 9})
        code, output = run(videos, "--out", tmp_path / "p")
        assert code == 0
        assert "c: c + c.poses.npz (signgen" in output
        assert "d: d.mp4 + d.pkl (slrt" in output
        assert PairSet.load(tmp_path / "p").clip("c").fps is None

    @pytest.mark.parametrize(
        ("table", "named"),
        [
            ("clip,video,keypoints\na,,nothing.json\n", "line 2: nothing.json does not exist"),
            ("clip,keypoints\na,\n", "line 2: no clip or no keypoints"),
            ("clip,video,keypoints\na,,a.mmpose133.json\na,,a.mmpose133.json\n", "line 3: clip a occurs twice"),
            ("clip,video,keypoints\nz,,a.mmpose133.json\n", "clip z is not a video"),
        ],
    )
    def test_bad_pairing(self, videos: Path, tmp_path: Path, table: str, named: str) -> None:
        (tmp_path / "pairing.csv").write_text(table)
        code, output = run(videos, "--out", tmp_path / "p", "--pairing", tmp_path / "pairing.csv")
        assert code == 2
        assert named in output
        assert not (tmp_path / "p").exists()


class TestUnclaimed:
    def test_keypoints_that_belong_to_no_video_are_named(self, videos: Path, tmp_path: Path) -> None:
        """A video and its keypoints that are spelled in two ways: nothing is guessed, and both are named."""
        write_video(videos / "Hello World.mp4")
        write_mmpose(videos / "hello_world.json")
        (videos / "notes.json").write_text("{}")
        code, output = run(videos, "--out", tmp_path / "p")
        assert code == 0
        assert "left out Hello World: no keypoints beside it" in output
        assert "left out hello_world.json: keypoints, but no video here has a name that theirs begins with" in output
        assert "notes.json" not in output

    def test_that_no_clip_can_be_used_says_why(self, tmp_path: Path) -> None:
        write_video(tmp_path / "v" / "a.mp4")
        code, output = run(tmp_path / "v", "--out", tmp_path / "p")
        assert code == 2
        assert "no clip can be used (a: no keypoints beside it)" in output


class TestPhoenixCorpus:
    def test_dev_is_validation_and_everything_else_is_named(self, tmp_path: Path) -> None:
        clips = {"train": ["t1", "t2", "gone"], "dev": ["d1"], "test": ["e1"]}
        root = write_phoenix(tmp_path, clips, absent=("gone",))
        write_slrt(tmp_path / "k" / "KEYPOINTS.Train.pkl", {"t1": 8, "t2": 7})
        write_slrt(tmp_path / "k" / "keypoints.dev.pkl", {"d1": 8, "t1": 3})
        write_slrt(tmp_path / "k" / "keypoints.test.pkl", {"test/e1": 8})
        code, output = run(root, "--keypoints", tmp_path / "k", "--out", tmp_path / "p")
        assert code == 1
        assert "put aside train/t2: KEYPOINTS.Train.pkl holds 7 frames, the video 8" in output
        assert "left out train/gone" in output
        pairs = PairSet.load(tmp_path / "p")
        assert [(c.name, c.split, c.signer) for c in pairs.clips] == [
            ("t1", "train", "Signer01"),
            ("d1", "val", "Signer01"),
            ("e1", "test", "Signer01"),
        ]
        assert len(pairs.triples("train")) == 8 * 7
        assert pairs.triples("val").tolist() == [(1, 0, n) for n in range(8)]
        assert pairs.triples("test").tolist() == [(2, 0, n) for n in range(8)]

    def test_clips_of_one_frame_are_in_no_triple(self, tmp_path: Path) -> None:
        root = write_phoenix(tmp_path, {"train": ["t1"], "dev": ["d1"]})
        single = next(root.rglob("train/t1")).with_name("short")
        write_png(single / "images0001.png", np.zeros((26, 21, 3), np.uint8))
        with next(root.rglob("*.train.corpus.csv")).open("a") as handle:
            handle.write("short|short/1/*.png|-1|-1|Signer02|A|b .\n")
        write_slrt(tmp_path / "k" / "all.pkl", {"t1": 8, "d1": 8, "short": 1})
        code, output = run(root, "--keypoints", tmp_path / "k", "--out", tmp_path / "p")
        assert code == 0
        assert "fewer than two frames to train on, so in no training triple: short" in output
        pairs = PairSet.load(tmp_path / "p")
        assert [clip.name for clip in pairs.clips] == ["t1", "short", "d1"]
        assert set(pairs.triples("train")["clip"]) == {0}

    def test_lists_with_windows_line_ends_and_a_byte_order_mark(self, tmp_path: Path) -> None:
        root = write_phoenix(tmp_path, {"train": ["t1", "Gebärde 2.a"], "dev": ["d1"]})
        for path in root.rglob("*.corpus.csv"):
            path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
        write_slrt(tmp_path / "k" / "all.pkl", {"t1": 8, "d1": 8, "Gebärde 2.a": 8})
        assert run(root, "--keypoints", tmp_path / "k", "--out", tmp_path / "p")[0] == 0
        assert [c.name for c in PairSet.load(tmp_path / "p").clips] == ["t1", "Gebärde 2.a", "d1"]

    @pytest.mark.parametrize("name", ["../outside", "a/../../outside", "/outside", "..\\outside"])
    def test_names_that_lead_out_of_the_folder_are_refused(self, tmp_path: Path, name: str) -> None:
        root = write_phoenix(tmp_path, {"train": ["t1"], "dev": ["d1"]})
        with next(root.rglob("*.train.corpus.csv")).open("a") as handle:
            handle.write(f"{name}|x|-1|-1|Signer02|A|b .\n")
        write_slrt(tmp_path / "k" / "all.pkl", {"t1": 8, "d1": 8, name: 8})
        code, output = run(root, "--keypoints", tmp_path / "k", "--out", tmp_path / "p")
        assert code == 2
        assert "line 3" in output
        pairing = tmp_path / "pairing.csv"
        pairing.write_text(f"clip,video,keypoints\n{name},a.mp4,a.json\n")
        code, output = run(tmp_path, "--pairing", pairing, "--out", tmp_path / "p")
        assert code == 2
        assert "line 2" in output

    def test_a_missing_image_is_named(self, tmp_path: Path) -> None:
        root = write_phoenix(tmp_path, {"train": ["t1", "t2"]})
        next(root.rglob("t1/images0004.png")).unlink()
        write_slrt(tmp_path / "k.pkl", {"train/t1": 8, "train/t2": 8})
        code, output = run(root, "--keypoints", tmp_path / "k.pkl", "--out", tmp_path / "p")
        assert code == 1
        assert "images 0004 are missing" in output

    def test_a_clip_in_two_splits_is_used_once(self, tmp_path: Path) -> None:
        root = write_phoenix(tmp_path, {"train": ["t1"], "test": ["t1"]})
        write_slrt(tmp_path / "k.pkl", {"train/t1": 8, "test/t1": 8})
        code, output = run(root, "--keypoints", tmp_path / "k.pkl", "--out", tmp_path / "p")
        assert code == 1
        assert "put aside test/t1: on disk in train and in test" in output

    def test_float16_copies_give_way_to_exact_ones(self, tmp_path: Path) -> None:
        root = write_phoenix(tmp_path, {"train": ["t1"]})
        write_slrt(tmp_path / "k" / "a.pkl", {"train/t1": 8})
        write_slrt(tmp_path / "k" / "longer.pkl", {"train/t1": 8}, dtype=np.float32)
        assert "t1 + longer.pkl" in run(root, "--keypoints", tmp_path / "k", "--out", tmp_path / "p")[1]
        write_slrt(tmp_path / "k" / "moved.pkl", {"train/t1": 8}, shift=0.5)
        assert "ambiguous" in run(root, "--keypoints", tmp_path / "k", "--out", tmp_path / "p")[1]


class TestPairSet:
    def test_same_seed_same_bytes_anywhere(self, videos: Path, tmp_path: Path) -> None:
        options = ("--count", 50, "--seed", 3, "--min-gap", 2)
        for out in (tmp_path / "p", tmp_path / "deep" / "er" / "q"):
            assert run(videos, "--out", out, *options)[0] == 0
        first = contents(tmp_path / "p")
        assert first == contents(tmp_path / "deep" / "er" / "q")
        assert run(videos, "--out", tmp_path / "p", *options)[0] == 0
        assert contents(tmp_path / "p") == first
        assert run(videos, "--out", tmp_path / "p", "--count", 50, "--seed", 4, "--min-gap", 2)[0] == 0
        second = contents(tmp_path / "p")
        assert first["triples.parquet"] != second["triples.parquet"]
        assert json.loads(first["meta.json"])["fingerprint"] == json.loads(second["meta.json"])["fingerprint"]

    def test_rows(self, videos: Path, tmp_path: Path) -> None:
        code, output = run(videos, "--out", tmp_path / "p", "--count", 40, "--min-gap", 3)
        assert code == 0
        assert "2 frames without a person are in no triple (b 2)" in output
        pairs = PairSet.load(tmp_path / "p")
        train, val = pairs.triples("train"), pairs.triples("val")
        assert len(train) == 40
        assert (np.abs(train["source"] - train["target"]) >= 3).all()
        for index, clip in enumerate(pairs.clips):
            rows = train[train["clip"] == index]
            assert max(rows["source"].max(), rows["target"].max()) < clip.holdout_start == 0.75 * clip.num_frames
        assert not {0, 7} & set(train[train["clip"] == 1]["target"]) | {0, 7} & set(train[train["clip"] == 1]["source"])
        assert val[val["clip"] == 1].tolist() == [(1, 1, n) for n in range(15, 20)]  # frame 0 has no person

    def test_bounded_sources(self, videos: Path, tmp_path: Path) -> None:
        """Clip a has 6 frames for training, b 13 with a person: two sources each, all their targets 2 frames away."""
        code, output = run(videos, "--out", tmp_path / "p", "--sources-per-clip", 2, "--min-gap", 2)
        assert code == 0
        pairs = PairSet.load(tmp_path / "p")
        usable = {0: set(range(6)), 1: set(range(15)) - {0, 7}}
        train = pairs.triples("train")
        for clip, frames in usable.items():
            rows = train[train["clip"] == clip]
            sources = set(rows["source"].tolist())
            assert len(sources) == 2
            expected = {(s, t) for s in sources for t in frames if abs(s - t) >= 2}
            assert {(s, t) for _, s, t in rows.tolist()} == expected
        assert f"all {len(train)} that exist are taken" in output
        assert pairs.meta["rule"]["sources_per_clip"] == 2
        run(videos, "--out", tmp_path / "q", "--sources-per-clip", 2, "--min-gap", 2, "--seed", 1)
        assert contents(tmp_path / "q")["triples.parquet"] != contents(tmp_path / "p")["triples.parquet"]

    def test_one_clip_is_in_memory_at_a_time(
        self, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """When a clip's keypoints are written, those of the one before are gone."""
        from signgen.pairs.writer import PairSetWriter

        alive: list[weakref.ref] = []
        add = PairSetWriter.add

        def watched(self: PairSetWriter, name: str, poses: PoseSequence, *where: object) -> None:
            gc.collect()
            alive.append(weakref.ref(poses.keypoints))
            assert sum(reference() is not None for reference in alive) <= 2  # this one's, and a name in the loop
            add(self, name, poses, *where)

        monkeypatch.setattr(PairSetWriter, "add", watched)
        for name in "cdef":
            shutil.copy(videos / "a.mp4", videos / f"{name}.mp4")
            write_mmpose(videos / f"{name}.json")
        assert run(videos, "--out", tmp_path / "p")[0] == 0
        assert len(alive) == 6

    def test_a_failure_half_way_leaves_the_old_set(
        self, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from signgen.pairs import writer as pairset_writer

        run(videos, "--out", tmp_path / "p")
        before = contents(tmp_path)

        def full(folder: Path) -> None:
            raise OSError(28, "No space left on device", str(folder))

        monkeypatch.setattr(pairset_writer, "flush", full)
        with pytest.raises(OSError, match="No space"):
            run(videos, "--out", tmp_path / "p", "--seed", 5)
        assert contents(tmp_path) == before

    def test_parquet_columns_and_metadata(self, videos: Path, tmp_path: Path) -> None:
        import pyarrow.parquet as pq

        run(videos, "--out", tmp_path / "p", "--seed", 9)
        table = pq.read_table(tmp_path / "p" / "triples.parquet")
        assert table.column_names == ["clip", "source_frame", "target_frame", "split", "signer"]
        notes = {key.decode(): json.loads(value) for key, value in table.schema.metadata.items()}
        assert notes["seed"] == 9
        assert notes["rule"]["holdout_tail"] == 0.25
        assert notes["fingerprint"] == PairSet.load(tmp_path / "p").fingerprint

    def test_fingerprint_follows_the_data(self, videos: Path, tmp_path: Path) -> None:
        run(videos, "--out", tmp_path / "p")
        first = PairSet.load(tmp_path / "p").fingerprint
        shutil.copytree(videos, tmp_path / "moved")
        run(tmp_path / "moved", "--out", tmp_path / "p")
        assert PairSet.load(tmp_path / "p").fingerprint == first
        write_mmpose(videos / "a.mmpose133.json", shift=0.5)
        run(videos, "--out", tmp_path / "p")
        assert PairSet.load(tmp_path / "p").fingerprint != first

    def test_a_smaller_set_leaves_no_old_poses(self, videos: Path, tmp_path: Path) -> None:
        run(videos, "--out", tmp_path / "p")
        run(videos, "--out", tmp_path / "p", "--clips", "b")
        assert [p.name for p in (tmp_path / "p" / "poses").iterdir()] == ["b.poses.npz"]

    @pytest.mark.parametrize("part", ["meta.json", "clips.parquet", "triples.parquet", "poses/a.poses.npz"])
    @pytest.mark.parametrize("damage", ["missing", "cut"])
    def test_incomplete_names_the_part(self, videos: Path, tmp_path: Path, part: str, damage: str) -> None:
        run(videos, "--out", tmp_path / "p")
        path = tmp_path / "p" / part
        if damage == "missing":
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[:50])
        with pytest.raises(SigngenError, match=part.replace(".", r"\.")) as caught:
            PairSet.load(tmp_path / "p").poses("a")
        assert "\n" not in str(caught.value)

    def test_mixed_parts_and_changed_videos(self, videos: Path, tmp_path: Path) -> None:
        run(videos, "--out", tmp_path / "p")
        run(videos, "--out", tmp_path / "q", "--clips", "a")
        shutil.copy(tmp_path / "q" / "triples.parquet", tmp_path / "p")
        with pytest.raises(PairSetError, match="other data"):
            PairSet.load(tmp_path / "p")
        pairs = PairSet.load(tmp_path / "q")
        write_video(videos / "a.mp4", 9)
        with pytest.raises(PairSetError, match="9 frames of 64x48; expected 8"):
            pairs.frames("a")
        with pytest.raises(PairSetError, match="no clip x"):
            pairs.frames("x")
        with pytest.raises(PairSetError, match="no such folder"):
            PairSet.load(tmp_path / "none")


class TestBadInput:
    def test_roots(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        for root, named in ((tmp_path / "none", "no such folder"), (tmp_path / "empty", "no videos")):
            code, output = run(root, "--out", tmp_path / "p")
            assert code == 2
            assert named in output

    def test_nothing_usable_leaves_the_old_set(self, videos: Path, tmp_path: Path) -> None:
        run(videos, "--out", tmp_path / "p")
        before = contents(tmp_path / "p")
        for path in videos.glob("*.json"):
            path.unlink()
        code, output = run(videos, "--out", tmp_path / "p")
        assert code == 2
        assert "no clip can be used" in output
        assert contents(tmp_path / "p") == before

    def test_out_is_something_else(self, videos: Path, tmp_path: Path) -> None:
        (tmp_path / "p").mkdir()
        (tmp_path / "p" / "thesis.tex").write_text("x")
        code, output = run(videos, "--out", tmp_path / "p")
        assert code == 2
        assert "thesis.tex" in output

    def test_stray_argument(self, videos: Path, tmp_path: Path) -> None:
        code, output = run(videos, "b", "--out", tmp_path / "p")
        assert code == 2
        assert "--clips" in output
