"""`signgen compare`: what is matched with what, whose numbers are differences of what, and when it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from signgen.evaluation.compare import compare, load_runs, run_names
from tests.line import Command

TEXTS = {"ssim": "S.", "psnr": "P.", "hand_sharpness": "H.", "flicker_truth": "T."}


def clip_result(frames: range, shift: float = 0.0, **changes: Any) -> dict[str, Any]:
    """A metrics dictionary of a clip whose SSIM is a slow wave plus `shift`."""
    rows = [
        {
            "frame": i,
            "ssim": 0.7 + 0.1 * np.sin(i / 5) + shift + 0.01 * np.cos(i * 1.7) * (shift > 0),
            "psnr": 20.0 + np.sin(i),
            "hand_sharpness": 1.0 - 0.2 * (i % 2) if shift else 0.5,
            "flicker_truth": None if i == frames.start else 1 + i / 100,
        }
        for i in frames
    ]
    mean = {name: float(np.mean([row[name] for row in rows if row[name] is not None])) for name in TEXTS}
    result = {"protocol": "p (64x64)", "definitions": dict(TEXTS), "frames": len(rows), "mean": mean, "baselines": {}}
    return {**result, "not_computed": {}, "notes": [], "per_frame": rows, **changes}


def written(path: Path, result: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result))
    return path


def set_result(names: list[str], scores: list[float], fid: float) -> dict[str, Any]:
    rows = [
        {"frame": i, "generated": f"/x/{name}_vis.png", "truth": f"/t/{name}.jpg", "ssim": score}
        for i, (name, score) in enumerate(zip(names, scores, strict=True))
    ]
    mean = {"ssim": float(np.mean(scores)), "fid": fid}
    return clip_result(range(2), definitions={"ssim": "S.", "fid": "F."}, mean=mean, per_frame=rows)


def test_differences_are_paired_and_better_is_said(tmp_path: Path) -> None:
    a = written(tmp_path / "a" / "metrics.json", clip_result(range(60)))
    b = written(tmp_path / "b.metrics.json", clip_result(range(60), 0.02))
    result = compare(load_runs([a.parent, b]))
    found = result["differences"]["b"]
    assert [run["name"] for run in result["runs"]] == ["a", "b"]
    assert found["ssim"]["mean"] == pytest.approx(result["means"]["b"]["ssim"] - result["means"]["a"]["ssim"])
    assert found["ssim"]["low"] < found["ssim"]["mean"] < found["ssim"]["high"]
    assert found["ssim"]["better"] == "b"  # though the wave is five times as high as the difference
    # Best equal to 1: distances .1 on average against .5.
    assert (found["hand_sharpness"]["of"], found["hand_sharpness"]["better"]) == ("distance from 1", "b")
    assert found["hand_sharpness"]["mean"] == pytest.approx(-0.4)
    assert (found["psnr"]["mean"], found["psnr"]["better"]) == (0, None)
    assert "flicker_truth" not in found
    assert result["verdict"].startswith("b is better than a in ssim (+0.020), hand_sharpness (-0.400 in distance")
    swapped = compare(load_runs([b, a]))["differences"]["a"]["ssim"]
    assert (swapped["better"], swapped["mean"]) == ("b", pytest.approx(-found["ssim"]["mean"]))


def test_only_common_frames_count(tmp_path: Path) -> None:
    a = written(tmp_path / "a.json", clip_result(range(60)))
    b = written(tmp_path / "b.json", clip_result(range(40, 80), 0.02))
    result = compare(load_runs([a, b]))
    assert result["frames"] == 20
    assert result["means"]["a"]["ssim"] == pytest.approx(np.mean([0.7 + 0.1 * np.sin(i / 5) for i in range(40, 60)]))
    assert any("a has 60 frames; 20 are in all runs" in note for note in result["notes"])


def test_images_are_matched_by_the_name_of_their_truth(tmp_path: Path) -> None:
    names = [f"i{n:02}" for n in range(12)]
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.4, 0.6, 12)
    a = written(tmp_path / "a.json", set_result(names, list(scores), 20.0))
    b = written(tmp_path / "b.json", set_result(names[::-1], list(scores[::-1] + 0.05), 15.0))
    result = compare(load_runs([a, b]))
    assert result["differences"]["b"]["ssim"]["mean"] == pytest.approx(0.05)
    assert result["differences"]["b"]["ssim"]["units"] == "images"
    assert result["means"]["b"]["fid"] == 15
    assert "fid" not in result["differences"]["b"]
    part = written(tmp_path / "part.json", set_result(names[:11], list(scores[:11]), 19.0))
    assert compare(load_runs([a, part]))["not_compared"] == {"fid": "one value of a whole set, and the sets differ"}


def test_what_cannot_be_compared_is_refused_or_left_out(tmp_path: Path, command: Command) -> None:
    first = clip_result(range(30))
    a = written(tmp_path / "a.json", first)

    def refused(result: Any) -> str:
        return command.refuses("compare", a, written(tmp_path / "b.json", result))

    assert "expected one protocol and size" in refused(clip_result(range(30), protocol="q (64x64)"))
    assert "no frame is in all" in refused(clip_result(range(30, 60)))
    other = clip_result(range(30))
    other["per_frame"][7]["flicker_truth"] = 9
    assert "flicker_truth of frame 7 is 1.07 and 9; expected scores against the same truth" in refused(other)
    assert "expected all of one kind" in refused({**set_result(["x"], [0.5], 1.0)})
    assert "no 'frames' in it" in refused({k: v for k, v in first.items() if k != "frames"})
    assert "expected two or more" in command.refuses("compare", a)
    assert "is given twice" in command.refuses("compare", a, a)
    assert "cannot be read" in command.refuses("compare", a, tmp_path / "absent.json")
    (tmp_path / "c.json").write_text("{")
    assert "not JSON" in command.refuses("compare", a, tmp_path / "c.json")
    b = written(tmp_path / "b.json", clip_result(range(30), definitions={**TEXTS, "psnr": "Other.", "new": "N."}))
    assert compare(load_runs([a, b]))["not_compared"] == {"psnr": "its definitions differ", "new": "not in a, b"}


def test_an_unknown_metric_is_subtracted_but_not_judged(tmp_path: Path) -> None:
    paths = []
    for name, value in (("a", 1.0), ("b", 2.0)):
        rows = [{"frame": i, "glow": value} for i in range(20)]
        result = clip_result(range(20), definitions={"glow": "G."}, mean={"glow": value}, per_frame=rows)
        paths.append(written(tmp_path / f"{name}.json", result))
    result = compare(load_runs(paths))
    assert (result["differences"]["b"]["glow"]["mean"], result["differences"]["b"]["glow"]["better"]) == (1, None)
    assert result["verdict"] == "b and a have no metric in common that can be judged."


def test_runs_of_one_name_keep_their_paths() -> None:
    paths = [Path("x/report/metrics.json"), Path("y/report/metrics.json"), Path("out.metrics.json")]
    assert run_names(paths) == ["x/report/metrics.json", "y/report/metrics.json", "out"]


def test_a_table_for_a_paper(tmp_path: Path, command: Command) -> None:
    a = written(tmp_path / "a.json", clip_result(range(60)))
    b = written(tmp_path / "b_2.json", clip_result(range(60), 0.02))
    result = compare(load_runs([a, b]))
    table = command.works("compare", a, b, "--markdown").splitlines()
    assert table[:2] == ["| metric | a | b_2 |", "| --- | --- | --- |"]
    low, high = result["intervals"]["b_2"]["ssim"]
    assert low < result["means"]["b_2"]["ssim"] < high
    row = next(line for line in table if line.startswith("| ssim ↑ |"))
    assert f"**{result['means']['b_2']['ssim']:.3f}** [{low:.3f}, {high:.3f}]†" in row
    assert f"| {result['means']['a']['ssim']:.3f} [" in row
    assert any(line.startswith("| hand_sharpness → 1 |") and "[" not in line for line in table)  # a ratio of sums
    latex = command.works("compare", a, b, "--latex")
    assert latex.startswith(r"\begin{tabular}{lrr} % needs booktabs")
    assert r"metric & a & b\_2 \\" in latex
    assert r"ssim $\uparrow$ & " in latex
    assert rf"\textbf{{{result['means']['b_2']['ssim']:.3f}}}" in latex
    assert "one of the two" in command.refuses("compare", a, b, "--latex", "--markdown")


def test_the_command_prints_and_writes(tmp_path: Path, command: Command) -> None:
    a = written(tmp_path / "a.json", clip_result(range(60)))
    b = written(tmp_path / "b.json", clip_result(range(60), 0.02))
    out = command.works("compare", a, b, "--out", tmp_path / "cmp")
    assert out.startswith("b is better than a in ssim (+0.020)")
    assert "lowest cosine transforms" in " ".join(out.split())
    result = json.loads((tmp_path / "cmp" / "compare.json").read_text())
    assert result["provenance"]["files"][0]["path"] == str(a)
    page = (tmp_path / "cmp" / "compare.html").read_text()
    assert '<h1 class="lines">b is better than a in ssim' in page
    command.works("compare", a, b, "--out", tmp_path / "two.html")
    assert json.loads((tmp_path / "two.json").read_text())["frames"] == 60


@pytest.mark.parametrize(
    "harm",
    [
        lambda result: result.update(definitions=["ssim"]),
        lambda result: result["definitions"].update(ssim=3),
        lambda result: result.update(baselines={"copy-source": 3}),
        lambda result: result["mean"].update(ssim="high"),
        lambda result: result.update(notes={"a": 1}, per_frame=[]),
        lambda result: result["per_frame"].append(7),
        lambda result: result["per_frame"][0].pop("frame"),
        lambda result: result["per_frame"][0].update(frame="0"),
        lambda result: result["per_frame"][0].update(ssim=[0.5]),
        lambda result: result["per_frame"][0].update(psnr=1e300),
        lambda result: result["per_frame"][0].update(truth="a.png", generated="a.png"),
        lambda result: result.update(provenance=[]),
        lambda result: result.update(provenance={"files": [{"role": "truth", "path": 3, "bytes": 1}]}),
    ],
)
def test_what_signgen_cannot_have_written_is_one_line(harm: Any, tmp_path: Path, command: Command) -> None:
    result = clip_result(range(4))
    sound = written(tmp_path / "b" / "metrics.json", result)
    harm(result)
    said = command.refuses("compare", written(tmp_path / "a" / "metrics.json", result), sound)
    assert "a/metrics.json" in said
