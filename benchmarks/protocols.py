"""What each choice of a protocol does to the score of the very same images, on the sample photographs.

The DeepFashion samples, copy-source (another photograph of the person given as the output) and slightly damaged truth:
under every protocol, and with one choice at a time changed from strict at 176x256. The distorted pictures of
metrics_iqa: SSIM and MS-SSIM in their readings, beside the values their authors' programs give.

    OMP_NUM_THREADS=1 python benchmarks/protocols.py TESTDATA

LPIPS is left out where AlexNet's weights are not found; FID needs more images than these.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import cv2
import numpy as np

from signgen.corpora.person.images import look_through
from signgen.errors import WeightsError
from signgen.metrics.image.lpips import Lpips, load_lpips
from signgen.metrics.image.resize import Resize, resize
from signgen.metrics.image.ssim import SsimVariant, l1_of, luma_of, ms_ssim, psnr_of, ssim_variant
from signgen.metrics.image_set.protocols import PROTOCOLS, Size
from signgen.metrics.image_set.scorer import ImageSetScorer, Networks
from signgen.video.reader import read_image

Pair = tuple[np.ndarray, np.ndarray]  # generated, truth
SMALL: Size = (176, 256)
LARGE: Size = (352, 512)
SSIM = PROTOCOLS["strict"].ssims["ssim"]


def copied(folder: Path) -> list[Pair]:
    """Every ordered pair of two photographs of one person, but for two files of one photograph."""
    found = look_through(folder)
    images = [(image.person, read_image(image.path)) for image in found.images.values()]
    pairs = [(a, b) for (whose, a), (whose_too, b) in permutations(images, 2) if whose == whose_too]
    return [(a, b) for a, b in pairs if psnr_of(resize(a, SMALL, "pil-bicubic"), resize(b, SMALL, "pil-bicubic")) < 40]


def small(image: np.ndarray) -> np.ndarray:
    """176x256, as DPTN's crop leaves it."""
    return resize(image, SMALL, "pil-bicubic")


def padded(image: np.ndarray) -> np.ndarray:
    """176x256 between 40 white columns, as DPTN's SSIM sees it."""
    return np.pad(small(image), ((0, 0), (40, 40), (0, 0)), constant_values=255)


def squashed(image: np.ndarray) -> np.ndarray:
    """256x256, as PIDM and GFLA prepare their data."""
    return resize(image, (256, 256), "pil-bicubic")


PREPARED: dict[str, Callable[[np.ndarray], np.ndarray]] = {"gfla": squashed, "dptn": small, "pidm": squashed}


def as_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """Written as JPEG and read again."""
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise SystemExit("OpenCV cannot write JPEG")
    return cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]


def under(name: str, pairs: list[Pair], alexnet: Lpips | None, size: Size | None = None) -> dict[str, float | None]:
    """Means of the whole set under a protocol, as `signgen evaluate-images` gives them."""
    protocol = PROTOCOLS[name]
    prepare = PREPARED.get(name, np.array)
    uses = {metric: use for metric, use in protocol.lpips.items() if use.net == "alex"}
    networks = Networks({m: alexnet.fed(signed=use.signed) for m, use in uses.items()} if alexnet else {})
    with tempfile.TemporaryDirectory() as folder:
        scorer = ImageSetScorer(protocol, len(pairs), networks, Path(folder), size=size)
        for index, (generated, truth) in enumerate(pairs):
            scorer.update(index, prepare(generated), prepare(truth))
        return scorer.result()["mean"]


def print_protocols(pairs: list[Pair], alexnet: Lpips | None) -> None:
    """One row a protocol; the SSIM that is usually published is the column ssim."""
    print("| protocol | size | ssim | ssim_uniform51 | psnr | l1 | lpips |\n|---|---|---|---|---|---|---|")
    rows: list[tuple[str, Size | None]] = [("strict", None), ("strict", SMALL), ("strict", LARGE)]
    rows += [(name, None) for name in ("gfla", "dptn", "pidm")]
    rows += [(name, size) for name in ("pcdms", "cfld", "fpdm", "reposedm") for size in (SMALL, LARGE)]
    for name, size in rows:
        mean = under(name, pairs, alexnet, size)
        values = [
            (mean.get("ssim_256", mean.get("ssim")), 3),
            (mean.get("ssim_uniform51"), 3),
            (mean["psnr"], 2),
            (mean["l1"], 4),
            (mean.get("lpips", mean.get("lpips_alex")), 3),
        ]
        label = name
        place = f"{size[0]}x{size[1]}" if size else {"strict": "native"}.get(name, "256x256")
        print(f"| {label} | {place} | {' | '.join('-' if v is None else f'{v:.{d}f}' for v, d in values)} |")


def choices() -> dict[str, Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, SsimVariant]]]:
    """What is changed -> the two images and the SSIM that are then compared; the first changes nothing."""

    def at(size: Size, rule: Resize = "pil-bicubic", variant: SsimVariant = SSIM):
        return lambda a, b: (resize(a, size, rule), resize(b, size, rule), variant)

    def compressed(quality: int):
        return lambda a, b: (
            as_jpeg(resize(a, SMALL, "pil-bicubic"), quality),
            resize(b, SMALL, "pil-bicubic"),
            SSIM,
        )

    def on_luma(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, SsimVariant]:
        return luma_of(resize(a, SMALL, "pil-bicubic")), luma_of(resize(b, SMALL, "pil-bicubic")), SSIM

    return {
        "strict at 176x256": at(SMALL),
        "size 352x512": at(LARGE),
        "size 750x1101, not resized": lambda a, b: (a, b, SSIM),
        "squashed to 256x256": lambda a, b: (squashed(a), squashed(b), SSIM),
        "padded white to 256x256": lambda a, b: (padded(a), padded(b), SSIM),
        "bicubic without antialias": at(SMALL, "cv2-bicubic"),
        "bilinear without antialias": at(SMALL, "cv2-bilinear"),
        "torch's bicubic, antialiased, cut": at(SMALL, "torch-bicubic"),
        "generated image as JPEG, quality 95": compressed(95),
        "generated image as JPEG, quality 75": compressed(75),
        "range max - min of the prediction": at(SMALL, variant=SsimVariant(11, 1.5, None)),
        "that, and sigma 1.2": at(SMALL, variant=SsimVariant(9, 1.2, None)),
        "uniform window 51": at(SMALL, variant=SsimVariant(51, None, 255.0, sample_covariance=True)),
        "luma instead of R, G, B": on_luma,
    }


def print_choices(pairs: list[Pair]) -> None:
    """SSIM, PSNR and L1, and what the choice changes of them."""
    print("| changed | ssim | change | psnr | change | l1 |\n|---|---|---|---|---|---|")
    base: np.ndarray | None = None
    for name, choose in choices().items():
        rows = []
        for generated, truth in pairs:
            a, b, variant = choose(generated, truth)
            rows.append((ssim_variant(a, b, variant) or 0.0, psnr_of(a, b), l1_of(a, b)))
        mean = np.mean(rows, axis=0)
        base = mean if base is None else base
        ssim, psnr, _ = mean - base
        print(f"| {name} | {mean[0]:.3f} | {ssim:+.3f} | {mean[1]:.2f} | {psnr:+.2f} | {mean[2]:.4f} |")


def print_readings(folder: Path) -> None:
    """SSIM and MS-SSIM of each distorted picture, as they may be read, and the published values."""
    with (folder / "results_official.csv").open(encoding="utf-8") as handle:
        official = {row.pop("Method"): row for row in csv.DictReader(handle)}
    print("| picture | ssim, R, G, B | ssim, luma | published | ms_ssim, R, G, B | luma | luma, sum | published |")
    print("|---|---|---|---|---|---|---|---|")
    for name in sorted(path.name for path in (folder / "ref_dir").iterdir()):
        a, b = (read_image(folder / kind / name) for kind in ("dist_dir", "ref_dir"))
        grey = luma_of(a), luma_of(b)
        values = [ssim_variant(a, b, SSIM), ssim_variant(*grey, SSIM), float(official["ssim"][name])]
        values += [ms_ssim(a, b), ms_ssim(*grey), ms_ssim(*grey, weighted_sum=True), float(official["ms_ssim"][name])]
        print(f"| {name} | {' | '.join(f'{value:.4f}' for value in values)} |")


def main() -> None:
    """Two tables for each of the two sets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("testdata", type=Path, metavar="TESTDATA")
    testdata = parser.parse_args().testdata
    try:
        alexnet = load_lpips()
    except WeightsError as error:
        alexnet = None
        print(f"LPIPS is left out: {error}\n")
    photographs = copied(testdata / "deepfashion")
    for title, pairs in (
        ("DeepFashion, copy-source", photographs),
        ("DeepFashion, the truth as JPEG of quality 75", [(as_jpeg(truth, 75), truth) for _, truth in photographs]),
    ):
        print(f"\n{title}: {len(pairs)} pairs\n")
        print_protocols(pairs, alexnet)
    print("\nOne choice changed, DeepFashion, copy-source\n")
    print_choices(photographs)
    print("\nmetrics_iqa, 512x384, not resized\n")
    print_readings(testdata / "metrics_iqa")


if __name__ == "__main__":
    main()
