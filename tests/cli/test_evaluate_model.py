"""`signgen evaluate-model MODEL PAIRS`: the numbers of rendering first and scoring afterwards, from any number of
processes; and baselines of sets."""

from __future__ import annotations

import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from signgen.evaluation import model_clips, model_work
from signgen.evaluation.worst import WorstPictures
from signgen.metrics.definitions import CROP_METRICS, FINGER_METRICS, POSE_METRICS, SEQUENCE_METRICS
from signgen.metrics.distribution import i3d as video_features
from signgen.metrics.distribution.frechet import FeatureStatistics, frechet_distance
from signgen.models.canvas import Canvas
from signgen.models.card import load_model
from signgen.pairs.pairset import PairSet, frame_name
from signgen.pairs.triples import TRIPLE
from signgen.parallel import split_evenly
from signgen.poses.estimators import ESTIMATORS
from signgen.rendering.pairs import jobs_of
from signgen.video.origin import Origin, origin_of
from signgen.video.reader import read_image, write_png
from tests.line import Command, Line
from tests.tiny import set_options


@pytest.fixture(autouse=True)
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "no-weights"))
    monkeypatch.delenv("SIGNGEN_WEIGHTS", raising=False)


def numbers(folder: Path) -> dict[str, Any]:
    """The metrics file without what differs from run to run."""
    result = json.loads((folder / "metrics.json").read_text())
    return {name: value for name, value in result.items() if name != "provenance"}


def test_a_latent_model_stands_beside_what_its_vae_makes_of_the_truth(
    command: Command, line: Line, tmp_path: Path
) -> None:
    vae = {
        "block_out_channels": [8, 8, 8],
        "down_block_types": ["DownEncoderBlock2D"] * 3,
        "up_block_types": ["UpDecoderBlock2D"] * 3,
        "norm_num_groups": 4,
        "layers_per_block": 1,
    }
    space = (f"image_space={json.dumps({'kind': 'vae', 'config': vae})}",)
    steps = ("training.fusion.steps=1", "training.diffusion.steps=1")
    train = ("train", line.pairs, "--config", "nano", "--out", tmp_path / "run", "--device", "cpu")
    assert command(*train, *set_options(*space, *steps)).code == 0
    model, fast = tmp_path / "run" / "model", ("--split", "val", "--steps", 1, "--threads", 1)
    command.works("evaluate-model", model, line.pairs, *fast, "--out", tmp_path / "clips")
    command.works("evaluate-model", model, line.pairs, *fast, "--protocol", "cfld", "--out", tmp_path / "images")
    # of every frame, by hand
    pair_set, (pipeline, card) = PairSet.load(line.pairs), load_model(model)
    canvas = Canvas(**card.parsed_recipe().canvas.model_dump())
    rows = numbers(tmp_path / "clips")["per_frame_baselines"]["vae"]
    for row, triple in zip(rows, pair_set.triples("val"), strict=True):
        clip, target = pair_set.clips[triple["clip"]], int(triple["target"])
        truth = pair_set.frames(clip.name).read(target, target + 1)[0]
        image = torch.from_numpy(canvas.fit_frame(truth)).permute(2, 0, 1)[None] / 127.5 - 1
        with torch.no_grad():
            vae_ = pipeline.image_space
            drawn = vae_.decode(vae_.encode(image).latent_dist.mean).sample.clamp(-1, 1)
        drawn = ((drawn[0].permute(1, 2, 0) + 1) * 127.5).round().numpy().astype(np.uint8)
        error = (canvas.restore_frame(drawn, clip.width, clip.height).astype(float) - truth) ** 2
        assert row["psnr"] == pytest.approx(10 * np.log10(255**2 / error.mean()), abs=0.02)
    assert numbers(tmp_path / "images")["baselines"].keys() == {"copy-source", "nearest-pose", "vae"}
    page = (tmp_path / "clips" / "report.html").read_text()
    assert "through the model" in page
    # which nobody has to beat
    assert not any(name.startswith("vae") for name in numbers(tmp_path / "clips")["not_computed"])


def test_one_pass_is_render_and_evaluate(command: Command, line: Line, tmp_path: Path) -> None:
    rendering = ("--seed", 3, "--threads", 1)
    out = command.works(
        *("evaluate-model", line.model, line.pairs, *rendering, "--split", "val"),
        *("--keep", tmp_path / "kept", "--out", tmp_path / "r"),
    )
    result = numbers(tmp_path / "r")
    assert out.startswith("8 val pairs of 2 clips\nThe model does NOT beat copy-source on hands")
    command.works(
        *("render", line.video, line.poses, "--model", line.model, *rendering, "--frames", "12:16", "--truth", "none"),
        *("--save-frames", tmp_path / "frames", "--out", tmp_path / "o.mp4"),
    )
    scoring = ("--poses", line.poses, "--pairs", line.pairs, "--frames", "12:16")
    command.works("evaluate", tmp_path / "frames", line.video, *scoring, "--out", tmp_path / "two")
    alone = numbers(tmp_path / "two")
    tracks = {"model": result["per_frame"], **result["per_frame_baselines"]}
    expected = {"model": alone["per_frame"], **alone["per_frame_baselines"]}
    assert list(tracks) == list(expected)
    for name, rows in expected.items():
        for ours, theirs in zip(tracks[name][:4], rows, strict=True):
            assert {**theirs, "frame": 0} == {m: 0 if m == "frame" else ours[m] for m in theirs}
    assert [row["generated"] for row in result["per_frame"]] == sorted(p.name for p in (tmp_path / "kept").iterdir())
    kept = origin_of(min((tmp_path / "kept").iterdir())) or Origin()
    assert replace(kept, source="clip0.mp4") == origin_of(tmp_path / "frames")
    assert (kept.source, kept.seed) == ("clip0", 3)
    assert result["mean"]["psnr"] == pytest.approx(np.mean([row["psnr"] for row in result["per_frame"]]))
    assert "report.html" in {path.name for path in (tmp_path / "r").iterdir()}
    # split by pose distance, of the whole set and of the clip alone
    for numbers_of, count in ((result, 8), (alone, 4)):
        table = numbers_of["splits"]["pose_distance"]["cells"]
        assert sum(cell["count"] for cell in table) == count
        whole = sum(cell["count"] * cell["mean"]["psnr"] for cell in table) / count
        assert whole == pytest.approx(numbers_of["mean"]["psnr"])
        assert table[0]["baselines"].keys() == numbers_of["baselines"].keys()
    assert "by pose distance, from near to far: ssim 0." in out


def test_distributions_are_those_of_the_whole_set(
    command: Command, line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows of two frames, so that the four of each clip are two; the features are mean colours."""
    monkeypatch.setattr(video_features, "WINDOW", 2)
    monkeypatch.setattr(video_features, "load_i3d", lambda weights: lambda window: window.mean((0, 1, 2)))
    words = ("evaluate-model", line.model, line.pairs, "--split", "val", "--device", "cpu")
    out = command.works(*words, "--distribution", "--keep", tmp_path / "kept", "--out", tmp_path / "r")
    assert "not computed: fvd_r3d: weights missing" in out
    result = numbers(tmp_path / "r")
    pairs = PairSet.load(line.pairs)
    seen = {name: FeatureStatistics() for name in ("model", "truth", "copy-source")}
    kept = sorted((tmp_path / "kept").iterdir())
    for number, clip in enumerate(pairs.clips):
        truth = pairs.frames(clip.name).read()
        for start in (0, 2):
            ours = [read_image(path) for path in kept[4 * number + start :][:2]]
            seen["model"].update(np.mean(ours, (0, 1, 2)))
            seen["truth"].update(truth[12 + start : 14 + start].mean((0, 1, 2)))
            seen["copy-source"].update(truth[0].mean((0, 1)))
    assert result["mean"]["fvd"] == pytest.approx(frechet_distance(seen["model"].compute(), seen["truth"].compute()))
    expected = frechet_distance(seen["copy-source"].compute(), seen["truth"].compute())
    assert result["baselines"]["copy-source"]["fvd"] == pytest.approx(expected)
    assert "fvd is of 4 windows in 3 dimensions" not in " ".join(result["notes"])
    assert "I3D" in result["definitions"]["fvd"]
    refused = command.refuses(*words, "--distribution", "--protocol", "strict", "--out", tmp_path / "x")
    assert "--distribution does not go with --protocol" in refused


class Reds:
    """Shoulders APART px from each other; every other point is as far right as the frame is red on average.

    In frames at most as red as `dark` it sees nobody, and shows no left hand where it has looked at `tires` frames.
    """

    short_side, note = 0, "a note"
    dark, tires, opened, closed = -1.0, 99, 0, 0

    def __init__(self) -> None:
        type(self).opened += 1
        self._looked = 0

    def estimate(self, frame: np.ndarray) -> np.ndarray:
        red = float(frame[..., 0].mean())
        points = np.tile((red, 10.0, 0.9 * (red > self.dark)), (133, 1))
        points[5, :2], points[6, :2] = (0, 0), (APART, 0)
        self._looked += 1
        if self._looked > self.tires:
            points[91:112, 2] = 0
        return points

    def close(self) -> None:
        type(self).closed += 1


APART = 40


@pytest.fixture
def reds(monkeypatch: pytest.MonkeyPatch) -> type[Reds]:
    """The estimator `reds`, and shards that see it: one after the other in this process, their results pickled."""

    def in_turn(work: Any, shards: list[Any], total: int, what: str, progress: Any) -> list[Any]:
        return [pickle.loads(pickle.dumps(work(shard, lambda: None))) for shard in shards]

    chosen = type("Reds", (Reds,), {"opened": 0, "closed": 0})
    monkeypatch.setitem(ESTIMATORS, "reds", chosen)
    monkeypatch.setattr(model_clips, "in_processes", in_turn)
    return chosen


def test_poses_are_estimated_in_one_pass(
    command: Command, line: Line, tmp_path: Path, reds: type[Reds], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The errors that the frames kept beside them have; of two clips, those of scoring each alone."""
    reds.tires = 3
    model = ("evaluate-model", line.model, line.pairs, "--split", "val", "--threads", 1)
    whole = (*model, "--estimator", "reds")
    out = command.works(*whole, "--keep", tmp_path / "kept", "--out", tmp_path / "r")
    assert (reds.opened, reds.closed) == (1 + 2 * 3, 1 + 2 * 3)  # one to see that it can be, three for each clip
    result = numbers(tmp_path / "r")
    pairs, sequences = PairSet.load(line.pairs), []
    for number, clip in enumerate(pairs.clips):
        rows = result["per_frame"][4 * number :][:4]
        truth = pairs.frames(clip.name).read()
        for row, frame in zip(rows, truth[12:16], strict=True):
            ours = read_image(tmp_path / "kept" / row["generated"])
            gap = abs(ours[..., 0].mean() - frame[..., 0].mean()) / APART
            assert row["face_joint_error"] == pytest.approx(gap, abs=1e-5)
            assert row["body_joint_error"] == pytest.approx(gap * 11 / 13, abs=1e-5)
        folder = tmp_path / f"clip{number}"
        for row in rows:
            write_png(folder / row["generated"], read_image(tmp_path / "kept" / row["generated"]))
        words = ("evaluate", folder, line.videos / f"{clip.name}.mp4", "--frames", "12:16", "--estimator", "reds")
        command.works(*words, "--out", tmp_path / f"two{number}")
        alone = numbers(tmp_path / f"two{number}")
        tracks = {"model": alone["per_frame"], "copy-source": alone["per_frame_baselines"]["copy-source"]}
        found = {"model": rows, "copy-source": result["per_frame_baselines"]["copy-source"][4 * number :][:4]}
        for who, expected in tracks.items():
            for one, other in zip(found[who], expected, strict=True):
                assert {name: one[name] for name in POSE_METRICS} == {name: other[name] for name in POSE_METRICS}
        sequences.append((alone["mean"]["dtw_mje"], alone["baselines"]["copy-source"]["dtw_mje"]))
    expected = [float(np.mean(values)) for values in zip(*sequences, strict=True)]
    assert [result["mean"]["dtw_mje"], result["baselines"]["copy-source"]["dtw_mje"]] == expected
    assert result["baselines"]["nearest-pose"]["dtw_mje"] is None
    assert "seen in the generated clip too: body 100.0%, hands 100.0%" in out  # the truth's was tired as soon
    assert "dtw_mje is the mean of 2 of 2 clips" in out
    monkeypatch.setattr(model_work, "processes", lambda: 2)
    command.works(*whole, "--out", tmp_path / "shared")
    assert numbers(tmp_path / "shared") == result


def test_a_clip_in_which_nobody_is_seen_is_named(
    command: Command, line: Line, tmp_path: Path, reds: type[Reds]
) -> None:
    frames = [PairSet.load(line.pairs).frames(name).read(12, 16)[..., 0].mean((1, 2)) for name in ("clip0", "clip1")]
    assert frames[0].max() < frames[1].min()
    reds.dark = float(frames[0].max())
    words = ("evaluate-model", line.model, line.pairs, "--split", "val", "--threads", 1)
    out = command.works(*words, "--estimator", "reds", "--out", tmp_path / "r")
    assert "no pose metrics of clip0: the estimator sees no two shoulders in the truth" in out
    assert "dtw_mje is the mean of 1 of 2 clips" in out
    rows = numbers(tmp_path / "r")["per_frame"]
    assert [row["face_joint_error"] is None for row in rows] == 4 * [True] + 4 * [False]
    reds.dark = 255.0
    command.works(*words, "--estimator", "reds", "--out", tmp_path / "r")
    result = numbers(tmp_path / "r")
    for name in (*POSE_METRICS, *SEQUENCE_METRICS):
        assert result["mean"][name] is None
        assert "no two shoulders in the truth" in result["not_computed"][name]


def test_a_preset_of_clips_is_that_of_evaluate(command: Command, line: Line, tmp_path: Path, reds: type[Reds]) -> None:
    words = ("--preset", "signrefine", "--estimator", "reds")
    model = ("evaluate-model", line.model, line.pairs, "--split", "val", "--threads", 1)
    out = command.works(*model, *words, "--keep", tmp_path / "kept", "--out", tmp_path / "r")
    assert "preset signrefine (SignRefine's regional scores)" in " ".join(out.split())
    result = numbers(tmp_path / "r")
    for row in result["per_frame"][:4]:
        write_png(tmp_path / "clip0" / row["generated"], read_image(tmp_path / "kept" / row["generated"]))
    again = ("evaluate", tmp_path / "clip0", line.video, "--poses", line.poses, "--frames", "12:16", *words)
    command.works(*again, "--out", tmp_path / "e")
    alone = numbers(tmp_path / "e")
    names = [name for name in CROP_METRICS if not name.endswith("_lpips_vgg")]
    for one, other in zip(result["per_frame"][:4], alone["per_frame"], strict=True):
        assert {name: one[name] for name in names} == {name: other[name] for name in names}
        assert one["crop_face_mpjpe"] > 0
    assert result["preset"] == alone["preset"]
    assert "vgg16" in result["not_computed"]["crop_face_lpips_vgg"]
    refused = command.refuses(*model, "--preset", "signvip", "--protocol", "strict", "--out", tmp_path / "x")
    assert "--preset does not go with --protocol" in refused


def test_a_model_is_not_judged_by_a_network_that_taught_it(
    command: Command, line: Line, tmp_path: Path, reds: type[Reds]
) -> None:
    """The card names it: nothing is estimated; what is rendered and kept says so, and `evaluate` does not either."""
    model = Path(shutil.copytree(line.model, tmp_path / "model"))
    card = json.loads((model / "signgen.json").read_text())
    (model / "signgen.json").write_text(json.dumps({**card, "pose_networks": ["reds"]}))
    words = ("evaluate-model", model, line.pairs, "--split", "val", "--threads", 1, "--estimator", "reds")
    out = command.works(*words, "--keep", tmp_path / "kept", "--out", tmp_path / "r")
    assert reds.opened == 1  # to see that it can be
    assert "no keypoints are estimated" in out
    result = numbers(tmp_path / "r")
    for name in (*POSE_METRICS, *FINGER_METRICS, *SEQUENCE_METRICS):
        assert "this very network (reds)" in result["not_computed"][name]
        assert name not in result["mean"]
    assert result["mean"]["psnr"] is not None
    assert origin_of(tmp_path / "kept").pose_networks == ("reds",)
    command.works("render", line.video, line.poses, "--model", model, "--threads", 1, "--out", tmp_path / "o.mp4")
    assert origin_of(tmp_path / "o.mp4").pose_networks == ("reds",)
    command.works("evaluate", tmp_path / "o.mp4", line.video, "--estimator", "reds", "--out", tmp_path / "e")
    assert "this very network (reds)" in numbers(tmp_path / "e")["not_computed"]["finger_pck"]
    (model / "signgen.json").write_text(json.dumps({**card, "pose_networks": "reds"}))
    assert "pose_networks is 'reds'" in command.refuses(*words, "--out", tmp_path / "x")


def test_what_was_kept_scores_the_same_under_a_protocol_and_in_two_processes(
    command: Command, line: Line, tmp_path: Path
) -> None:
    pairs = PairSet.load(line.pairs)
    for clip in pairs.clips:
        for frame in (0, *range(12, 16)):  # the sources, too
            folder = tmp_path / ("truth" if frame else "sources")
            write_png(folder / f"{frame_name(clip, frame)}.png", pairs.frames(clip.name).read(frame, frame + 1)[0])
    one = ("evaluate-model", line.model, line.pairs, "--split", "val", "--protocol", "strict", "--threads", 1)
    command.works(*one, "--keep", tmp_path / "kept", "--processes", 2, "--out", tmp_path / "r")
    command.works(*one, "--out", tmp_path / "one")
    assert numbers(tmp_path / "r") == numbers(tmp_path / "one")
    folders = ("evaluate-images", tmp_path / "kept", tmp_path / "truth", "--protocol", "strict")
    command.works(*folders, "--source", tmp_path / "sources", "--processes", 2, "--out", tmp_path / "set")
    ours, theirs = numbers(tmp_path / "r"), numbers(tmp_path / "set")
    assert theirs["mean"] == ours["mean"]
    assert theirs["baselines"]["copy-source"] == ours["baselines"]["copy-source"]
    assert ours["baselines"].keys() == {"copy-source", "nearest-pose"}
    assert theirs["verdict"] == ours["verdict"]
    assert "does NOT beat copy-source on whole images" in theirs["verdict"]
    out = command.works(*folders, "--out", tmp_path / "without")
    assert "not computed: copy-source: no image clip0-000000 and 1 more sources" in out
    assert out.splitlines()[2].startswith("Not compared with copy-source")


def test_wrong_input_is_one_line(command: Command, line: Line, tmp_path: Path) -> None:
    whole = ("evaluate-model", line.model, line.pairs, "--out", tmp_path / "x")
    assert "Missing argument 'PAIRS'" in command.refuses("evaluate-model", line.model, "--out", tmp_path / "x")
    assert "no test triples; choose --split val or train" in command.refuses(*whole)
    assert "did you mean" in command.refuses(*whole, "--split", "val", "--estimator", "mediapip")
    assert "no such file" in command.refuses(*whole, "--split", "val", "--onnx", tmp_path / "m.onnx")
    strict = command.refuses(*whole, "--split", "val", "--protocol", "strict", "--estimator", "mediapipe")
    assert "--estimator does not go with --protocol" in strict
    assert "--size needs --protocol" in command.refuses(*whole, "--split", "val", "--size", "176x256")
    pidm = command.refuses(*whole, "--split", "val", "--protocol", "pidm", "--processes", 2)
    assert "takes and does not resize" in pidm
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("options", "now"),
    [
        (["--model", "m", "--pairs", "p", "--split", "val"], "evaluate-model MODEL PAIRS"),
        (["a", "b", "--steps", "2"], "evaluate-model MODEL PAIRS"),
        (["a", "b", "--protocol", "strict"], "evaluate-images GENERATED TRUTH --protocol NAME"),
        (["a", "b", "--pair-list", "x.csv"], "evaluate-images GENERATED TRUTH --protocol NAME"),
    ],
)
def test_what_evaluate_was_asked_before_names_the_new_command(command: Command, options: list[str], now: str) -> None:
    assert command.refuses("evaluate", *options, "--out", "r") == (
        f"signgen: error: signgen evaluate has no {next(o for o in options if o.startswith('--'))} any more; "
        f"use signgen {now} --out REPORT\n"
    )


def test_jobs_hold_every_triple_once() -> None:
    rng = np.random.default_rng(0)
    triples = np.array([tuple(row) for row in rng.integers(0, 4, (40, 3)).tolist()], TRIPLE)
    jobs = jobs_of(triples)
    assert sorted(row for job in jobs for row in job.rows) == list(range(40))
    assert len({(job.clip_index, job.source) for job in jobs}) == len(jobs)
    for job in jobs:
        assert [(job.clip_index, job.source, target) for target in job.targets] == triples[list(job.rows)].tolist()
        assert list(job.targets) == sorted(job.targets)


def test_shards_are_even_and_whole() -> None:
    parts = split_evenly([9, 1, 1, 8, 2, 1], 2)
    assert sorted(place for part in parts for place in part) == [0, 1, 2, 3, 4, 5]
    assert sorted(sum([9, 1, 1, 8, 2, 1][p] for p in part) for part in parts) == [11, 11]
    assert split_evenly([3], 4) == [[0]]


def test_the_worst_pictures_are_those_of_the_worst_rows() -> None:
    rows = [{"frame": n, "ssim": s} for n, s in enumerate([0.5, 0.2, None, 0.9, 0.2, 0.7])]
    frames = [np.full((2, 2, 3), n, np.uint8) for n in range(6)]
    one, two = WorstPictures("ssim", 3), WorstPictures("ssim", 3)
    for row, frame in zip(rows, frames, strict=True):
        (one if row["frame"] % 2 else two).add(row, frame, frame + 100)
    one.merge(two)
    for number in (1, 4, 0):
        assert [int(picture[0, 0, 0]) for picture in one.read(number)] == [number, number + 100]
    with pytest.raises(StopIteration):
        one.read(5)
