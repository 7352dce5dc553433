"""`signgen render-set`: the frames of `render`, the scores of evaluate-model, kept as asked, and gone on with."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from signgen.corpora.person.images import image_key
from signgen.errors import OptionError
from signgen.evaluation.match_images import match_images
from signgen.evaluation.set_files import NAMES, items_of
from signgen.files import alone_in
from signgen.pairs.pairset import PairSet
from signgen.rendering.pairs import jobs_of
from signgen.video.origin import Origin, origin_of
from signgen.video.reader import open_frames, read_image, write_png
from tests.corpora.person_corpora import write_deepfashion
from tests.line import Command, Line


def words(line: Line, out: Path, *more: object) -> list[object]:
    return ["render-set", line.pairs, "--model", line.model, "--split", "val", "--threads", 1, "--out", out, *more]


def scores(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "metrics.json").read_text())


@pytest.fixture(scope="module")
def rendered(line: Line, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both clips as frames."""
    from signgen import RenderSetRequest, render_set

    out = tmp_path_factory.mktemp("set") / "out"
    result = render_set(
        RenderSetRequest(line.pairs, line.model, out, split="val", layout="frames", device="cpu", threads=1)
    )
    assert [row["clip"] for row in result.rows] == ["clip0", "clip1"]
    assert result.put_aside == {}
    return out


def test_frames_are_those_of_render_and_scores_those_of_evaluate_model(
    rendered: Path, command: Command, line: Line, tmp_path: Path
) -> None:
    command.works(
        *("render", line.video, line.poses, "--model", line.model, "--threads", 1, "--frames", "12:16"),
        *("--truth", "none", "--save-frames", tmp_path / "frames", "--out", tmp_path / "o.mp4"),
    )
    names = [f"images{number:04d}.png" for number in range(13, 17)]
    assert sorted(path.name for path in (rendered / "clip0").iterdir()) == names
    for name in names:
        np.testing.assert_array_equal(read_image(rendered / "clip0" / name), read_image(tmp_path / "frames" / name))
    made, of_render = (origin_of(folder) or Origin() for folder in (rendered / "clip0", tmp_path / "frames"))
    assert made.source == "clip0"
    assert replace(made, source="") == replace(of_render, source="")
    assert made.seed == 0
    command.works("evaluate-model", line.model, line.pairs, "--split", "val", "--threads", 1, "--out", tmp_path / "r")
    ours, theirs = scores(rendered), scores(tmp_path / "r")
    assert ours["frames"] == 8
    assert {name: theirs["mean"][name] for name in ours["mean"]} == ours["mean"]
    assert {"ssim", "hand_ssim", "flicker"} <= {name for name, value in ours["mean"].items() if value is not None}
    for name, means in ours["baselines"].items():
        assert {metric: theirs["baselines"][name][metric] for metric in means} == means
    for one, other in zip(ours["per_frame"], theirs["per_frame"], strict=True):
        assert (one["clip"], one["truth"]) == (other["clip"], other["truth"])
        assert (rendered / one["generated"]).is_file()
    with (rendered / "clips.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [(row["clip"], row["frames"], row["held"]) for row in rows] == [("clip0", "4", "0"), ("clip1", "4", "0")]
    assert np.mean([float(row["ssim"]) for row in rows]) == pytest.approx(ours["mean"]["ssim"])


def test_what_is_whole_is_kept_and_what_is_missing_is_rendered_again(
    rendered: Path, command: Command, line: Line, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(rendered, tmp_path / "out"))
    kept = out / "clip1" / "images0013.png"
    write_png(kept, np.zeros((64, 64, 3), np.uint8))  # to see that it is not rendered again
    gone = out / "clip0" / "images0014.png"
    expected = gone.read_bytes()
    gone.unlink()
    (out / ".clip0.partial").mkdir()
    told = command.works(*words(line, out, "--layout", "frames"))
    assert "set: 2 clips of val; 1 of them are there already" in told
    assert gone.read_bytes() == expected
    assert not (out / ".clip0.partial").exists()
    assert not read_image(kept).any()
    assert {k: v for k, v in scores(out).items() if k != "provenance"} == {
        k: v for k, v in scores(rendered).items() if k != "provenance"
    }
    # with anything else it is another set
    for changed, what in (
        (("--seed", 1), "another seed (0, not 1)"),
        (("--steps", 3), "another steps (2, not 3)"),
        (("--split", "train"), "another split (val, not train)"),
    ):
        assert what in command.refuses(*words(line, out, "--layout", "frames", *changed))
    assert "another layout (frames, not mp4); choose another --out" in command.refuses(*words(line, out))
    model = Path(shutil.copytree(line.model, tmp_path / "model"))
    card = json.loads((model / "signgen.json").read_text())
    (model / "signgen.json").write_text(json.dumps({**card, "licence": "another"}))
    refused = command.refuses(*words(line, out, "--layout", "frames", "--model", model))
    assert f"{out} was rendered with another model; choose another --out" in refused
    with alone_in(out):
        refused = command.refuses(*words(line, out, "--layout", "frames"))
    assert f"{out}: another process is at work in it; wait until it ends, or choose another folder" in refused
    (out / "records" / "clip0.json").write_text("{")
    assert "delete it, and its clip is rendered again" in command.refuses(*words(line, out, "--layout", "frames"))


def test_chosen_clips_as_video_and_as_the_corpus_has_them(command: Command, line: Line, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("clip1\n")
    out = command.works(*words(line, tmp_path / "v", "--clips", tmp_path / "names.txt"))
    assert "wrote 1 clips" in out
    video = open_frames(tmp_path / "v" / "clip1.mp4")
    assert (video.num_frames, video.width, video.fps) == (4, 64, 25)
    assert (origin_of(tmp_path / "v" / "clip1.mp4") or Origin()).source == "clip1"
    assert [row["generated"] for row in scores(tmp_path / "v")["per_frame"]] == [f"clip1.mp4#{n}" for n in range(4)]
    command.works(*words(line, tmp_path / "p", "--layout", "phoenix", "--limit", 1))
    found = sorted(path.relative_to(tmp_path / "p").as_posix() for path in (tmp_path / "p").rglob("*.png"))
    assert found == [f"fullFrame-64x64px/dev/clip0/images{number:04d}.png" for number in range(13, 17)]
    refused = command.refuses(*words(line, tmp_path / "x", "--clips", "clip0,nobody"))
    assert "no val pair of the clip nobody; expected one of clip0, clip1" in refused
    refused = command.refuses(*words(line, tmp_path / "x", "--names", "fpdm"))
    assert "--names fpdm with clips" in refused
    assert "no test triples" in command.refuses(*words(line, tmp_path / "x", "--split", "test"))


def test_one_signer_for_all_clips(command: Command, line: Line, tmp_path: Path) -> None:
    who = tmp_path / "who.png"
    write_png(who, open_frames(line.videos / "clip1.mp4").read(3, 4)[0])
    poses = line.videos / "clip1.mmpose.json"
    command.works(*words(line, tmp_path / "v", "--source", who, "--source-poses", poses, "--layout", "frames"))
    assert not (tmp_path / "v" / "metrics.json").exists()
    assert (tmp_path / "v" / "clips.csv").read_text().startswith("clip,frames,held,seconds,fps\nclip0,4,0,")
    command.works(
        *("render", who, line.poses, "--source-poses", poses, "--model", line.model, "--threads", 1),
        *("--frames", "12:16", "--save-frames", tmp_path / "frames", "--out", tmp_path / "o.mp4"),
    )
    for path in (tmp_path / "frames").iterdir():
        np.testing.assert_array_equal(read_image(tmp_path / "v" / "clip0" / path.name), read_image(path))
    wide = tmp_path / "wide.png"
    write_png(wide, np.zeros((64, 128, 3), np.uint8))
    refused = command.refuses(*words(line, tmp_path / "w", "--source", wide, "--source-poses", poses))
    assert "would be stretched to 128x64; expected one aspect ratio; fit them with --retarget auto" in refused
    command.works(*words(line, tmp_path / "w", "--source", wide, "--source-poses", poses, "--retarget", "auto"))
    assert open_frames(tmp_path / "w" / "clip0.mp4").width == 128
    refused = command.refuses(*words(line, tmp_path / "x", "--retarget", "auto"))
    assert "--retarget without --source" in refused


def test_a_damaged_clip_is_put_aside_and_the_rest_is_rendered(command: Command, line: Line, tmp_path: Path) -> None:
    videos = Path(shutil.copytree(line.videos, tmp_path / "videos"))
    command.works("build-pairs", videos, "--out", tmp_path / "pairs")
    video = videos / "clip0.mp4"
    content = video.read_bytes()
    video.write_bytes(content[:300])
    out = tmp_path / "out"
    again = words(line, out)
    again[1] = tmp_path / "pairs"
    called = command(*again)
    assert (called.code, called.err) == (1, "")
    assert f"put aside clip0: {video}" in called.out
    assert (out / "clip1.mp4").is_file()
    assert scores(out)["frames"] == 4
    video.write_bytes(content)
    assert "1 of them are there already" in command.works(*again)
    assert scores(out)["frames"] == 8


@pytest.mark.parametrize("names", [None, *NAMES])
def test_images_of_lists_have_the_names_that_are_read_back(names: str | None, command: Command, tmp_path: Path) -> None:
    root = write_deepfashion(tmp_path / "set")
    command.works("build-pairs", root, "--out", tmp_path / "pairs")
    pair_set = PairSet.load(tmp_path / "pairs")
    triples = pair_set.triples("test")
    items = items_of(pair_set, jobs_of(triples), None, names, "test")
    generated = tmp_path / "generated"
    generated.mkdir()
    for file in (file for item in items for file in item.files):
        (generated / file).touch()
    matched = match_images(generated, root / "img", root / "test_pairs.json")
    rule = {"pidm": "nted-pidm", "cfld": "nted-pidm", "fpdm": "fpdm"}.get(names or "", "pcdms")
    assert matched.rule.name == rule
    assert len(matched.pairs) == len(triples)
    for pair in matched.pairs:
        assert pair.generated.name.startswith("fashion")
        assert image_key(pair.generated.name.removesuffix("_vis.png")) == image_key(pair.truth.as_posix())
    with pytest.raises(OptionError, match="--layout mp4 with lists of pairs"):
        items_of(pair_set, jobs_of(triples), "mp4", None, "test")
    with pytest.raises(OptionError, match="did you mean pidm"):
        items_of(pair_set, jobs_of(triples), None, "pidn", "test")
