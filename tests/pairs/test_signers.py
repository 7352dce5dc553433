"""Who is in which split: people that splits share are named, and one signer can be left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from signgen import BuildPairsRequest, build_pairs
from signgen.errors import OptionError
from signgen.pairs.pairset import PairSet
from tests.corpora.corpora import write_mmpose, write_phoenix, write_slrt, write_video

CLIPS = {"train": ["a", "b", "c"], "dev": ["d", "e"], "test": ["f"]}  # of Signer01, Signer02, ... in each split


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    root = write_phoenix(tmp_path, CLIPS)
    write_slrt(tmp_path / "keypoints" / "k.pkl", {name: 8 for names in CLIPS.values() for name in names})
    return root


def built(corpus: Path, tmp_path: Path, **options) -> tuple[PairSet, tuple[str, ...]]:
    done = build_pairs(BuildPairsRequest(corpus, tmp_path / "p", keypoints=tmp_path / "keypoints", **options))
    return PairSet.load(tmp_path / "p"), done.notes


def signers(pairs: PairSet, split: str) -> set[str]:
    return {pairs.clips[n].signer for n in np.unique(pairs.triples(split)["clip"])}


def test_splits_that_share_signers_say_so(corpus: Path, tmp_path: Path) -> None:
    pairs, notes = built(corpus, tmp_path)
    assert (signers(pairs, "train"), signers(pairs, "val"), signers(pairs, "test")) == (
        {"Signer01", "Signer02", "Signer03"},
        {"Signer01", "Signer02"},
        {"Signer01"},
    )
    told = " ".join(notes)
    assert "train and val share 2 of 2 people (Signer01, Signer02)" in told
    assert "train and test share 1 of 1 people (Signer01): scores of test are of people that were seen in train" in told
    assert any("train and test share" in note for note in pairs.meta["notes"])


@pytest.mark.parametrize("named", ["Signer01", "1", "01"])
def test_one_signer_is_left_out(corpus: Path, tmp_path: Path, named: str) -> None:
    pairs, notes = built(corpus, tmp_path, leave_signer_out=named)
    assert (signers(pairs, "train"), signers(pairs, "val"), signers(pairs, "test")) == (
        {"Signer02", "Signer03"},
        {"Signer02"},
        {"Signer01"},
    )
    assert {clip.name for clip in pairs.clips if clip.split == "test"} == {"a", "d", "f"}
    assert "train and test share" not in " ".join(notes)
    assert "train and val share 1 of 1 people (Signer02)" in " ".join(notes)


def test_test_clips_of_others_are_left_out_and_named(corpus: Path, tmp_path: Path) -> None:
    pairs, notes = built(corpus, tmp_path, leave_signer_out="Signer02")
    assert "f" not in {clip.name for clip in pairs.clips}
    assert "f: --leave-signer-out Signer02: the test split is Signer02's alone" in " ".join(notes)


def test_whom_nobody_knows_is_refused(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="expected one of Signer01, Signer02, Signer03"):
        built(corpus, tmp_path, leave_signer_out="9")
    assert not (tmp_path / "p").exists()


def test_a_folder_of_videos_names_its_signers_in_the_pairing(tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    for name in ("x", "y", "z"):
        write_video(folder / f"{name}.mp4")
        write_mmpose(folder / f"{name}.json")
    with pytest.raises(OptionError, match="no clip says who its signer is; name them in a column signer"):
        build_pairs(BuildPairsRequest(folder, tmp_path / "p", leave_signer_out="1"))
    table = "clip,keypoints,signer\nx,x.json,Ana\ny,y.json,Ben\nz,z.json,Ben\n"
    (tmp_path / "pairing.csv").write_text(table)
    build_pairs(BuildPairsRequest(folder, tmp_path / "p", pairing=tmp_path / "pairing.csv", leave_signer_out="Ben"))
    pairs = PairSet.load(tmp_path / "p")
    assert {clip.name: (clip.split, clip.signer) for clip in pairs.clips} == {
        "x": ("train", "Ana"),
        "y": ("test", "Ben"),
        "z": ("test", "Ben"),
    }
    (tmp_path / "pairing.csv").write_text(table.replace("Ana", "Ben"))
    with pytest.raises(OptionError, match="every clip is Ben's"):
        build_pairs(BuildPairsRequest(folder, tmp_path / "q", pairing=tmp_path / "pairing.csv", leave_signer_out="Ben"))
