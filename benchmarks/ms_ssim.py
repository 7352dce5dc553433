"""What MS-SSIM takes by signgen and by torchmetrics, float64, one thread, and how far apart they are."""

from __future__ import annotations

import time

import numpy as np
import torch

import signgen  # noqa: F401  first, so that torchvision imports over a CPU-only torch
from signgen.metrics.image.ssim import ms_ssim


def main() -> None:
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure as reference

    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    print("| size | signgen | torchmetrics | difference |\n|---|---|---|---|")
    for height, width in ((256, 176), (512, 352)):
        truth = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        generated = np.clip(truth + rng.normal(0, 30, truth.shape), 0, 255).astype(np.uint8)
        tensors = [torch.tensor(image).permute(2, 0, 1)[None].double() for image in (generated, truth)]
        start = time.perf_counter()
        ours = ms_ssim(generated, truth)
        middle = time.perf_counter()
        theirs = float(reference(*tensors, data_range=255.0, normalize="relu"))
        end = time.perf_counter()
        seconds = f"{middle - start:.3f} s | {end - middle:.3f} s"
        print(f"| {width}x{height} | {seconds} | {abs(ours - theirs):.1e} |")


if __name__ == "__main__":
    main()
