r"""Trains a small VAE from scratch on the frames of a pair set; writes a Hub-layout folder for `image_space.origin`.

    python benchmarks/small_vae.py runs/pairs --out runs/vae --steps 1200
    signgen train runs/pairs --config nano --out runs/nano-vae \
        --set "image_space={kind: vae, factor: 4, origin: runs/vae}"

Loss: mean absolute error of the reconstruction and a small KL term; moves of a few pixels as augmentation. The scaling
factor is set so that latents have standard deviation 1, as diffusion expects.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

from signgen.config import Augmentation, load_recipe
from signgen.models.canvas import Canvas
from signgen.models.device import usable_precision
from signgen.pairs.pairset import PairSet
from signgen.training.data.augment import move_frame, random_affine
from signgen.training.data.frames import CanvasFrames

# isort: split
from diffusers import AutoencoderKL  # after signgen, which makes torchvision importable here

BATCH, LEARNING_RATE, KL_WEIGHT = 4, 2e-3, 1e-6
AUGMENTATION = Augmentation(shift=4, scale=0.04, rotate=3)
CONFIG = {
    "block_out_channels": (32, 64, 64),
    "down_block_types": ("DownEncoderBlock2D",) * 3,
    "up_block_types": ("UpDecoderBlock2D",) * 3,
    "latent_channels": 8,
    "norm_num_groups": 16,
    "mid_block_add_attention": False,
}


def batches(pairs: PairSet, canvas: Canvas, seed: int) -> Iterator[torch.Tensor]:
    """Endless (BATCH, 3, H, W) in [-1, 1] of frames that training triples use."""
    rows = pairs.triples("train")
    targets = np.unique(rows[["clip", "target"]])
    frames, rng = CanvasFrames(pairs, canvas), np.random.default_rng(seed)
    while True:
        chosen = targets[rng.integers(len(targets), size=BATCH)]
        moved = [
            move_frame(frames(pairs.clips[row["clip"]].name, row["target"]), random_affine(AUGMENTATION, canvas, rng))
            for row in chosen
        ]
        yield torch.from_numpy(np.stack(moved)).permute(0, 3, 1, 2).float() / 127.5 - 1


def train(pairs: PairSet, canvas: Canvas, steps: int, seed: int, device: torch.device) -> AutoencoderKL:
    """A VAE of factor 4, about 1.4 million parameters. bfloat16 where the device computes in it."""
    torch.manual_seed(seed)
    fast = usable_precision("bf16", device) == "bf16"
    vae = AutoencoderKL(**CONFIG).to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(vae.parameters(), lr=LEARNING_RATE, fused=True)
    feed = batches(pairs, canvas, seed)
    for step in track(range(steps), description=f"VAE, {sum(p.numel() for p in vae.parameters()):,} parameters"):
        warm, decay = min(1, (step + 1) / 50), (1 + math.cos(math.pi * step / steps)) / 2
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * warm * decay
        images = next(feed).to(device).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=fast):
            posterior = vae.encode(images).latent_dist
            rebuilt = vae.decode(posterior.sample()).sample
        loss = (rebuilt.float() - images).abs().mean() + KL_WEIGHT * posterior.kl().float().mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    vae.eval()
    with torch.no_grad():
        latents = torch.cat([vae.encode(next(feed).to(device)).latent_dist.mean for _ in range(8)])
    vae.register_to_config(scaling_factor=float(1 / latents.std()))
    return vae.cpu()


def fidelity(vae: AutoencoderKL, pairs: PairSet, canvas: Canvas) -> float:
    """PSNR in dB of reconstructed frames of the validation split, the bound on what a model in this space can score."""
    frames = CanvasFrames(pairs, canvas)
    targets = np.unique(pairs.triples("val")[["clip", "target"]])[:32]
    truth = np.stack([frames(pairs.clips[row["clip"]].name, row["target"]) for row in targets])
    images = torch.from_numpy(truth).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        rebuilt = vae.decode(vae.encode(images).latent_dist.mean).sample.clamp(-1, 1)
    error = ((rebuilt - images) * 127.5).square().mean((1, 2, 3))
    return float((10 * torch.log10(255**2 / error)).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", default="128x128", help="WIDTHxHEIGHT of the canvas; default: nano's")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    width, height = map(int, args.size.split("x"))
    settings = load_recipe("nano").canvas.model_dump() | {"width": width, "height": height}
    pairs, canvas = PairSet.load(args.pairs), Canvas(**settings)
    vae = train(pairs, canvas, args.steps, args.seed, torch.device(args.device))
    vae.save_pretrained(args.out)
    print(f"{args.out}: frames of the validation split are rebuilt with {fidelity(vae, pairs, canvas):.1f} dB")


if __name__ == "__main__":
    main()
