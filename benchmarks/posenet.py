"""How often a pose network finds the joints of body, hands and face in the frames of a pair set's split.

By the definition of its card (signgen/training/posenet/score.py); for a pair set of people whom it was not trained on.

    python benchmarks/posenet.py POSENET PAIRS [--split val] [--joints MAP] [--most 2000]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from signgen.models.pose_adapters import open_pose_network
from signgen.pairs.pairset import PairSet
from signgen.training.posenet.frames import PoseFrames
from signgen.training.posenet.recipe import PoseAugmentation
from signgen.training.posenet.score import part_accuracy


def milliseconds(network: torch.nn.Module, backward: bool) -> float:
    """Of one frame of the network's canvas, the best of five; backward: with the gradient of the image."""
    best = float("inf")
    for _ in range(5):
        image = torch.zeros(1, 3, network.canvas.height, network.canvas.width, requires_grad=backward)
        began = time.perf_counter()
        maps = network.heat_maps(image).maps
        if backward:
            maps.sum().backward()
        best = min(best, time.perf_counter() - began)
    return 1000 * best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("posenet", type=Path)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--split", default="val", choices=("train", "val", "test"))
    parser.add_argument("--joints")
    parser.add_argument("--most", type=int, default=2000)
    wanted = parser.parse_args()
    network, pairs = open_pose_network(wanted.posenet, wanted.joints), PairSet.load(wanted.pairs)
    frames = PoseFrames(pairs, wanted.split, network.canvas, PoseAugmentation(), 0, network.joints)
    signers = {pairs.clips[clip].signer for clip in frames.rows[:, 0]}
    print(f"{min(len(frames), wanted.most)} {wanted.split} frames of {len(signers)} signers, {network.digest[:20]}")
    for part, found in part_accuracy(network, frames, wanted.most).items():
        print(
            f"{part:6} PCK@0.1 {found.pck:6.1%}  seen {found.seen:6.1%}  found {found.found:6.1%}  of {found.points:,}"
        )
    if network.differentiable:
        with torch.no_grad():
            forward = milliseconds(network, backward=False)
        print(f"{forward:.1f} ms a frame, {milliseconds(network, backward=True):.1f} ms with the image's gradient")


if __name__ == "__main__":
    main()
