r"""How well recurrent pose alignment finds where things were: end-point error on drawn signers, by recurrence.

    OMP_NUM_THREADS=1 python benchmarks/alignment.py --out runs/alignment --variants N5 --picture docs/alignment.png
    OMP_NUM_THREADS=1 python benchmarks/alignment.py --out runs/alignment --variants N5,N1 --seeds 0,1,2        more

The alignment of nano-repose is trained alone, by the recipe's losses of flow, on drawn signers; it is scored on signers
and movements that it has not seen, from a clip's first frame to its others, against true correspondences (signgen.
synthetic.correspondence) at 128x128 pixels, on pixels of torso, arms and hands that the source shows. A run that is
whole in OUT is not repeated. The first number of each row is the error of no motion at all. `teacher`: what keypoints
say of each place, by which the flow is taught. With --posenet (what `signgen train-posenet` wrote of other drawn
signers), the joints that it sees in the warped source are held against the target's pose and against the source's: the
share within .1 shoulder widths of each, whose second is the leak.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.nn import functional as F

from signgen.config import AlignmentLosses, Recipe, load_recipe
from signgen.models.aligned_tokens import AlignedTokens
from signgen.models.alignment import AROUND, Alignment, flows_around
from signgen.models.build import build_pipeline
from signgen.models.card import palette_of
from signgen.models.features import Features
from signgen.models.flow import flow_sample
from signgen.models.heat_maps import peaks
from signgen.models.pipeline import SignerPipeline
from signgen.models.posenet import PoseNet
from signgen.models.posenet_card import load_posenet
from signgen.poses.draw import draw_pose
from signgen.synthetic.clip import render_frames
from signgen.synthetic.correspondence import correspondence
from signgen.synthetic.identity import Identity
from signgen.synthetic.motion import Motion
from signgen.training.alignment_losses import alignment_losses, weighted_losses
from signgen.training.body_places import body_places, bones_of, known_places

SIDE = 128
TRAINED, HELD_OUT = range(40), range(1000, 1012)  # seeds of people and movements
FRAMES, EVERY = 100, 5
BATCH, RATE = 8, 1e-3
NEAR = 1.5  # px
EDGE = 3  # px
HIDDEN = 128  # grey
# Options of the condition, by variant; N5 is the recipe's.
VARIANTS: dict[str, dict[str, Any]] = {
    "N5": {},
    "N1": {"recurrences": 1, "regions": [0]},
    "N5 paper": {"source_pose": False},
    "N5 fine": {"stride": 1, "radius": 8},
    "N5 image": {"recurrence": "image"},
}


@dataclass(frozen=True)
class Signer:
    """frames: uint8 (T, 128, 128, 3), of every fifth moment. points: float32 (T, 133, 3). poses: drawn, as frames."""

    identity: Identity
    motion: Motion
    frames: np.ndarray
    points: np.ndarray
    poses: np.ndarray

    @classmethod
    def drawn(cls, seed: int, recipe: Recipe) -> Signer:
        identity, motion = Identity.random(seed, f"Signer{seed}"), Motion.random(seed, FRAMES)
        frames, points = render_frames(identity, motion, range(0, FRAMES, EVERY), (SIDE, SIDE))
        palette = palette_of(recipe)
        poses = np.stack([draw_pose(each, SIDE, SIDE, palette=palette) for each in points])
        return cls(identity, motion, frames, points, poses)


def tensor(images: np.ndarray) -> torch.Tensor:
    """uint8 (B, H, W, C) -> float32 (B, C, H, W) in [0, 1]."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255


def features(pipeline: SignerPipeline, source: np.ndarray, source_pose: np.ndarray, pose: np.ndarray) -> Features:
    """Of pictures, uint8 (B, H, W, 3)."""
    return Features(
        encoders=pipeline, source=tensor(source) * 2 - 1, source_pose=tensor(source_pose), target_pose=tensor(pose)
    )


def batches(signers: list[Signer], seed: int) -> Iterator[list[tuple[Signer, int, int]]]:
    rng = np.random.default_rng(seed)
    while True:
        drawn = rng.integers(len(signers), size=BATCH), rng.integers(FRAMES // EVERY, size=(BATCH, 2))
        yield [(signers[i], *map(int, pair)) for i, pair in zip(*drawn, strict=True)]


def trained(
    recipe: Recipe, options: dict[str, Any], losses: AlignmentLosses, signers: list[Signer], seed: int, steps: int
) -> SignerPipeline:
    """The recipe's pipeline with its alignment trained for so many steps."""
    pipeline = untrained(recipe, options, seed)
    provider = provider_of(pipeline).train()
    optimizer = torch.optim.AdamW(provider.align.parameters(), RATE)
    bones = bones_of(palette_of(recipe))
    weights = weighted_losses(losses)
    for step, batch in zip(range(1, steps + 1), batches(signers, seed), strict=False):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, step / 50) * min(1, 4 * (1 - (step - 1) / steps))
        source, source_pose, target, pose = (
            np.stack([getattr(signer, name)[n] for signer, *numbers in batch for n in [numbers[which]]])
            for name, which in (("frames", 0), ("poses", 0), ("frames", 1), ("poses", 1))
        )
        points = (torch.from_numpy(np.stack([s.points[pair[which]] for s, *pair in batch])) for which in (0, 1))
        given = features(pipeline, source, source_pose, pose)
        assert provider.read(given) is not None
        assert given.alignment is not None
        assert given.source_latent is not None
        target_latent = pipeline.space.encode(tensor(target) * 2 - 1)
        found = alignment_losses(
            given.alignment,
            losses,
            pipeline.space,
            given.source_latent,
            target_latent,
            known_places(*points, bones, (SIDE, SIDE)),
        )
        loss = sum(weight * found[name] for name, weight in weights.items())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[union-attr]
        torch.nn.utils.clip_grad_norm_(provider.align.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 0:
            print(f"  {step} steps", {name: round(value.item(), 4) for name, value in found.items()}, flush=True)
    return pipeline


def untrained(recipe: Recipe, options: dict[str, Any], seed: int) -> SignerPipeline:
    """The recipe's, with these options of the alignment."""
    values = recipe.model_dump(mode="json")
    values["conditions"][0]["options"] |= options
    values["seed"] = seed
    return build_pipeline(Recipe.model_validate(values))


def provider_of(pipeline: SignerPipeline) -> AlignedTokens:
    return next(each for each in pipeline.conditions.providers.values() if isinstance(each, AlignedTokens))


def alignment_of(pipeline: SignerPipeline, signer: Signer, source: int, targets: list[int]) -> Alignment:
    """Of a signer's moments."""
    count = [source] * len(targets)
    given = features(pipeline, signer.frames[count], signer.poses[count], signer.poses[targets])
    provider_of(pipeline).read(given)
    assert given.alignment is not None
    return given.alignment


@torch.no_grad()
def flows_of(
    pipeline: SignerPipeline, signer: Signer, source: int, targets: list[int]
) -> tuple[list[np.ndarray], np.ndarray]:
    """After 0 ... N recurrences, float32 (B, H, W, 2) in pixels; visibility, float32 (B, H, W)."""
    found = alignment_of(pipeline, signer, source, targets)
    flows = [torch.zeros_like(found.flow), *found.fine]
    large = [F.interpolate(flow * found.pixels, (SIDE, SIDE), mode="bilinear") for flow in flows]
    seen = F.interpolate(found.visibility, (SIDE, SIDE), mode="bilinear")[:, 0]
    return [flow.permute(0, 2, 3, 1).numpy() for flow in large], seen.numpy()


def errors_of(pipeline: SignerPipeline, signers: list[Signer]) -> dict[str, list[float]]:
    """After 0 ... N recurrences, of the body and of its parts: the mean end-point error in pixels, and the share of
    places that are right to NEAR pixels."""
    return errors_by(signers, lambda signer, targets: flows_of(pipeline, signer, 0, targets)[0])


def teacher_errors(recipe: Recipe, signers: list[Signer]) -> dict[str, list[float]]:
    """Of no motion, and of what keypoints say of every place: the teacher of the flow."""
    bones = bones_of(palette_of(recipe))

    def taught(signer: Signer, targets: list[int]) -> list[np.ndarray]:
        source, target = (torch.from_numpy(signer.points[each]) for each in ([0] * len(targets), targets))
        places = body_places(source, target, bones, (SIDE, SIDE), SIDE)
        flow = (places.source - places.target).view(-1, SIDE, SIDE, 2).numpy()
        return [np.zeros_like(flow), flow]

    return errors_by(signers, taught)


def errors_by(
    signers: list[Signer], flows_by: Callable[[Signer, list[int]], list[np.ndarray]]
) -> dict[str, list[float]]:
    """flows_by: of a signer's moments from its first one, flows (B, H, W, 2), one for each column of the rows."""
    sums: dict[str, list[list[float]]] = {}
    targets = list(range(2, FRAMES // EVERY, 3))
    for signer in signers:
        flows = flows_by(signer, targets)
        for place, number in enumerate(targets):
            truth = correspondence(signer.identity, signer.motion, 0, number * EVERY, (SIDE, SIDE))
            parts = {"body": truth.body, "hands": truth.hands}
            parts |= {"arms": truth.arms, "trunk": truth.body & ~truth.arms & ~truth.hands}
            for part, mask in parts.items():
                if mask.any():
                    apart = [np.linalg.norm((flow[place] - truth.flow)[mask], axis=1) for flow in flows]
                    sums.setdefault(part, []).append([float(each.mean()) for each in apart])
                    sums.setdefault(f"{part} near", []).append([float((each <= NEAR).mean()) for each in apart])
    return {part: np.mean(rows, 0).round(3).tolist() for part, rows in sums.items()}


@torch.no_grad()
def edges_of(pipeline: SignerPipeline, signers: list[Signer]) -> dict[str, float]:
    """What is wrong at the last recurrence. best of nine: the body's error in pixels, were each place given the best of
    the flows of the 3x3 tokens around. trunk near arms: the share of the trunk's error that lies within EDGE pixels of
    an arm or a hand."""
    targets, best, near, all_of_it = list(range(2, FRAMES // EVERY, 3)), [], 0.0, 0.0
    for signer in signers:
        found = alignment_of(pipeline, signer, 0, targets)
        around = F.interpolate(flows_around(found.flow * found.pixels).flatten(1, 2), (SIDE, SIDE), mode="nearest")
        choices = around.unflatten(1, (2, AROUND)).permute(0, 3, 4, 2, 1).numpy()
        flow = flows_of(pipeline, signer, 0, targets)[0][-1]
        for place, number in enumerate(targets):
            truth = correspondence(signer.identity, signer.motion, 0, number * EVERY, (SIDE, SIDE))
            apart = np.linalg.norm(choices[place] - truth.flow[:, :, None], axis=3).min(2)
            best.append(apart[truth.body].mean())
            beside = cv2.distanceTransform((~truth.limbs).astype(np.uint8), cv2.DIST_L2, 5) <= EDGE
            error, trunk = np.linalg.norm(flow[place] - truth.flow, axis=2), truth.body & ~truth.limbs
            near, all_of_it = near + error[trunk & beside].sum(), all_of_it + error[trunk].sum()
    return {"best of nine": round(float(np.mean(best)), 3), "trunk near arms": round(float(near / all_of_it), 3)}


@torch.no_grad()
def leak_of(pipeline: SignerPipeline, signers: list[Signer], network: PoseNet) -> dict[str, list[float]]:
    """Of the source warped after 0 ... N recurrences: the share of joints at the target's pose, and at the source's,
    among those whose places in the two are more than twice the distance apart."""
    targets = list(range(2, FRAMES // EVERY, 3))
    joints, counts = list(network.joints), np.zeros((3, 0))
    for signer in signers:
        unit = 0.1 * np.linalg.norm(signer.points[0, 5, :2] - signer.points[0, 6, :2])
        here, there = signer.points[targets][:, joints, :2], signer.points[:1, joints, :2]
        moved = np.linalg.norm(here - there, axis=2) > 2 * unit
        source = tensor(signer.frames[:1]).expand(len(targets), -1, -1, -1)
        found = []
        for flow in flows_of(pipeline, signer, 0, targets)[0]:
            warped = flow_sample(source, torch.from_numpy(flow).permute(0, 3, 1, 2))
            seen = peaks(network.heat_maps(warped * 2 - 1).maps, network.stride)[..., :2].numpy()
            near = [np.linalg.norm(seen - place, axis=2) <= unit for place in (here, there)]
            found.append([int(moved.sum()), *(int((each & moved).sum()) for each in near)])
        counts = np.array(found).T + (counts if counts.size else 0)
    return {name: (counts[row] / counts[0]).round(3).tolist() for row, name in ((1, "at target"), (2, "at source"))}


def picture(pipeline: SignerPipeline, signers: list[Signer], path: Path) -> None:
    """The source warped after 0 ... N recurrences, the last without what it says is hidden, pose, truth; a row for each
    signer."""
    rows = []
    for signer in signers:
        number = 11
        flows, seen = flows_of(pipeline, signer, 0, [number])
        source = tensor(signer.frames[:1])
        warps = [flow_sample(source, torch.from_numpy(flow).permute(0, 3, 1, 2))[0] for flow in flows]
        shown = [(each.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8) for each in warps]
        shown.append((shown[-1] * seen[0, ..., None] + HIDDEN * (1 - seen[0, ..., None])).round().astype(np.uint8))
        rows.append(np.hstack([*shown, signer.poses[number], signer.frames[number]]))
    cv2.imwrite(str(path), np.vstack(rows)[..., ::-1])


def run(
    recipe: Recipe,
    options: dict[str, Any],
    losses: AlignmentLosses,
    signers: list[Signer],
    seed: int,
    steps: int,
    file: Path,
) -> SignerPipeline:
    """A trained pipeline; its weights are kept beside `file`, and not made again."""
    weights = file.with_suffix(".pt")
    if weights.exists():
        pipeline = untrained(recipe, options, seed)
        provider_of(pipeline).load_state_dict(torch.load(weights, weights_only=True))
    else:
        pipeline = trained(recipe, options, losses, signers, seed, steps)
        torch.save(provider_of(pipeline).state_dict(), weights)
    provider_of(pipeline).eval()
    return pipeline


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--variants", default="N5,N1")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--posenet", type=Path)
    parser.add_argument("--losses", type=json.loads, default={}, help="in place of the recipe's diffusion.alignment")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    recipe = load_recipe("nano-repose")
    losses = AlignmentLosses(**(recipe.diffusion.alignment.model_dump() | args.losses))
    people = {"train": [], "test": []} | {
        name: [Signer.drawn(seed, recipe) for seed in seeds] for name, seeds in (("train", TRAINED), ("test", HELD_OUT))
    }
    print("teacher", json.dumps(teacher_errors(recipe, people["test"])), flush=True)
    for variant in args.variants.split(","):
        for seed in map(int, args.seeds.split(",")):
            file = args.out / f"{variant.replace(' ', '-')}-{seed}.json"
            pipeline = run(recipe, VARIANTS[variant], losses, people["train"], seed, args.steps, file)
            if not file.exists():
                found = {"steps": args.steps, **errors_of(pipeline, people["test"])} | edges_of(
                    pipeline, people["test"]
                )
                if args.posenet:
                    found |= leak_of(pipeline, people["test"], load_posenet(args.posenet)[0])
                file.write_text(json.dumps(found))
            if args.picture:
                picture(pipeline, people["test"][:4], args.picture)
            print(f"{variant:10} seed {seed}", file.read_text(), flush=True)


if __name__ == "__main__":
    main()
