"""Writes a scorer's result: metrics.json, per_frame.csv and .parquet; reads it again; says in words whether the model
beats doing nothing."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

from signgen.errors import MetricsError
from signgen.files import atomic_path, read_json, write_json
from signgen.metrics.definitions import RATIOS, implementations_of
from signgen.metrics.directions import DIRECTIONS
from signgen.metrics.means import OWN_TRUTH, metric_mean

MODEL = "model"  # how the one that is judged is called beside its baselines
METRICS_FILE = "metrics.json"
PER_FRAME_FILE = "per_frame.csv"
PARQUET_FILE = "per_frame.parquet"
_KEYS = {"protocol", "definitions", "frames", "mean", "baselines", "not_computed", "notes", "per_frame"}
_MOST = 1e15  # no score is that large; sums of squares stay finite below it
_DIGITS = {
    "psnr": 2,
    "hand_psnr": 2,
    "face_psnr": 2,
    "l1": 4,
    "rank": 0,
    "clip_rank": 0,
    "near_rank": 0,
    "near_median_rank": 1,
    "median_rank": 1,
    "clip_median_rank": 1,
}
_SUMS = {column for columns in RATIOS.values() for column in columns}
_FAMILY_DIGITS = {"fid": 2, "fvd": 2, "kid": 5, "flicker": 2, "warping": 2}  # fid, fid_train, ...


def write_metrics(result: dict[str, Any], folder_or_path: Path) -> Path:
    """Write the verdict and the result as JSON, atomically, to a .json path or as metrics.json into a folder; return
    the path."""
    path = _target(folder_or_path, ".json", METRICS_FILE)
    of = implementations_of(result["definitions"])
    write_json(path, {"verdict": verdict(result), **result, "implementations": of})
    return path


def read_metrics(path: Path) -> dict[str, Any]:
    """The result that `write_metrics` wrote, from the file or its folder. Raises MetricsError for anything else."""
    path = path / METRICS_FILE if path.is_dir() else path
    try:
        result = read_json(path)
    except OSError as error:
        raise MetricsError(f"{path}: cannot be read ({error.strerror})", expected="a metrics.json") from error
    except ValueError as error:
        raise MetricsError(f"{path}: not JSON ({error})", expected="a metrics.json of signgen evaluate") from error
    missing = _KEYS - result.keys() if isinstance(result, dict) else _KEYS
    if missing or not result["per_frame"]:
        lack = f"no {min(missing)!r}" if missing else "no frames"
        raise MetricsError(f"{path}: {lack} in it", expected="a metrics.json of signgen evaluate or render")
    if wrong := _wrong_in(result):
        raise MetricsError(f"{path}: {wrong}", expected="a metrics.json as signgen wrote it")
    return result


def _wrong_in(result: dict[str, Any]) -> str | None:
    """What `write_metrics` cannot have written, of keys that are all there: the first, in words."""
    kinds = {"protocol": str, "definitions": dict, "mean": dict, "baselines": dict, "not_computed": dict, "notes": list}
    for key, kind in {**kinds, "per_frame": list}.items():
        if not isinstance(result[key], kind):
            return f"{key} is no {kind.__name__}"
    for key in ("definitions", "not_computed"):
        if not all(isinstance(text, str) for text in result[key].values()):
            return f"{key} holds something else than texts"
    if not all(isinstance(note, str) for note in result["notes"]):
        return "notes hold something else than texts"
    for means in (result["mean"], *result["baselines"].values()):
        if not isinstance(means, dict) or not all(map(_is_score, means.values())):
            return "a mean is no number"
    return _wrong_in_rows(result["per_frame"], {*result["definitions"], *DIRECTIONS, *_SUMS}) or _wrong_in_files(result)


def _wrong_in_rows(rows: list[Any], metrics: set[str]) -> str | None:
    for number, row in enumerate(rows):
        if not isinstance(row, dict) or type(row.get("frame")) is not int or not 0 <= row["frame"] < _MOST:
            return f"row {number} of per_frame is none of a frame"
        if not all(_is_score(value) for name, value in row.items() if name in metrics):
            return f"a score of frame {row['frame']} is no number"
        if not all(isinstance(row.get(name, ""), str) for name in ("truth", "generated", "clip")):
            return f"the files of frame {row['frame']} have no names"
    if len({("truth" in row, "generated" in row) for row in rows}) > 1:
        return "some of its frames name files, others do not"
    return None


def _wrong_in_files(result: dict[str, Any]) -> str | None:
    provenance = result.get("provenance", {})
    files = provenance.get("files", []) if isinstance(provenance, dict) else None
    if not isinstance(files, list) or not all(
        isinstance(f, dict) and {"role", "path", "bytes"} <= f.keys() for f in files
    ):
        return "its provenance is damaged"
    return None if all(isinstance(file["path"], str) for file in files) else "its provenance is damaged"


def _is_score(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and abs(value) < _MOST)


def number_text(metric: str, value: float | None) -> str:
    """The value with as many digits as mean anything for the metric; `-` where there is none."""
    digits = _DIGITS.get(metric, _FAMILY_DIGITS.get(metric.split("_")[0], 3))
    return "-" if value is None else f"{value:.{digits}f}"


def by_reason(not_computed: dict[str, str]) -> dict[str, list[str]]:
    """Reason -> what it keeps from being computed, so that one missing file is one line."""
    reasons: dict[str, list[str]] = {}
    for metric, reason in not_computed.items():
        reasons.setdefault(reason, []).append(metric)
    return reasons


def write_per_frame_csv(result: dict[str, Any], folder_or_path: Path) -> Path:
    """Write the per-frame rows, atomically, to a .csv path or as per_frame.csv into a folder; None becomes empty."""
    path = _target(folder_or_path, ".csv", PER_FRAME_FILE)
    rows = result["per_frame"]
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_per_frame_parquet(result: dict[str, Any], folder_or_path: Path) -> Path:
    """The same rows as typed columns, atomically, to a .parquet path or as per_frame.parquet into a folder."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = _target(folder_or_path, ".parquet", PARQUET_FILE)
    rows = result["per_frame"]
    names = list(rows[0])
    texts = ("clip", "generated", "truth", "sign", "body_as", "hands_as")
    known = {"frame": pa.int64(), **dict.fromkeys(texts, pa.string())}
    schema = pa.schema([(name, known.get(name, pa.float64())) for name in names])
    with atomic_path(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), temporary)
    return path


def _target(folder_or_path: Path, suffix: str, name: str) -> Path:
    return folder_or_path if folder_or_path.suffix == suffix else folder_or_path / name


def is_set(rows: list[dict[str, Any]]) -> bool:
    """Whether the rows are of a set of images, which name their files, and not of the frames of a clip."""
    return "truth" in rows[0] and re.search(r"#\d+$", rows[0]["truth"]) is None


def verdict(result: dict[str, Any]) -> str:
    """One sentence: does the model beat copy-source, in the hand boxes where there are any, else on whole frames?

    A result of another kind brings its own sentence.
    """
    if "verdict" in result:
        return str(result["verdict"])
    copied = result["baselines"].get("copy-source")
    if copied is None:
        return "Not compared with copy-source: no source frame."
    mean = _on_frames_of("copy-source", result)
    where, prefix = "on hands", "hand_"
    if mean.get("hand_ssim") is None or copied.get("hand_ssim") is None:
        where, prefix = (
            "on whole images" if is_set(result["per_frame"]) else "on whole frames (hands were not scored)",
            "",
        )
    ssim, psnr = _first_ssim(mean, copied) if not prefix else "hand_ssim", f"{prefix}psnr"
    if ssim is None:
        return "Not compared with copy-source: no SSIM of both."
    wins = [mean[ssim] > copied[ssim], mean[psnr] > copied[psnr]]
    numbers = f"SSIM {mean[ssim]:.3f} against {copied[ssim]:.3f}, PSNR {mean[psnr]:.2f} against {copied[psnr]:.2f} dB"
    if all(wins):
        return f"The model beats copy-source {where}: {numbers}."
    if any(wins):
        better = "SSIM" if wins[0] else "PSNR"
        return f"The model does NOT beat copy-source {where} except in {better}: {numbers}."
    return f"The model does NOT beat copy-source {where}: {numbers}."


def _on_frames_of(baseline: str, result: dict[str, Any]) -> dict[str, Any]:
    """The model's means, where the baseline's leave out frames that it is given, without these."""
    own = {row["frame"] for row in result["per_frame_baselines"].get(baseline, []) if row.get(OWN_TRUTH)}
    rows = [row for row in result["per_frame"] if row["frame"] not in own]
    if not own or not rows:
        return result["mean"]
    return {name: metric_mean(name, rows) if name in rows[0] else value for name, value in result["mean"].items()}


def _first_ssim(mean: dict[str, Any], copied: dict[str, Any]) -> str | None:
    """The SSIM that both have; of a protocol with several, the one that its papers usually give."""
    names = ("ssim", "ssim_256", "ssim_uniform51")
    return next((name for name in names if mean.get(name) is not None and copied.get(name) is not None), None)
