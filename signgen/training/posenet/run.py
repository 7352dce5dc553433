"""A pair set and a recipe in; a folder with a trained pose network, its card, logs and resumable state out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator, DataLoaderConfiguration
from accelerate.state import AcceleratorState

from signgen.errors import ModelError, PairSetError
from signgen.files import make_folder, read_json, write_json, write_text
from signgen.interrupts import termination_ends
from signgen.models.canvas import Canvas
from signgen.models.device import prepare_device
from signgen.models.posenet import PoseNet
from signgen.models.posenet_card import PoseNetCard, save_posenet
from signgen.models.quiet import quiet_libraries
from signgen.pairs.pairset import PairSet
from signgen.poses.joints import JointMap
from signgen.progress import SILENT, Notes, Progress
from signgen.requests import Request
from signgen.training.data.dataset import spread
from signgen.training.loop import Plan, Trainer
from signgen.training.posenet.frames import PoseFrames
from signgen.training.posenet.recipe import PoseAugmentation, PoseNetRecipe, load_posenet_recipe
from signgen.training.posenet.score import DEFINITION, PartAccuracy, part_accuracy
from signgen.training.posenet.stage import PoseStage

RECIPE, SETTINGS = "recipe.yaml", "settings.json"  # in the folder: what a training was begun with
CARD_FRAMES = 2000  # held-out frames that the card's numbers are of, at most
_BUDGET_FOR_STEPS = 0.97  # of max_minutes; the rest is validation and saving


@dataclass(frozen=True)
class PoseNetRequest(Request):
    """What a pose network is trained on, and where to.

    pairs: a pair set. out: the folder to write. config: a recipe's shipped name or path; None: posenet-nano, or that of
    the resumed training. overrides: `a.b=c`. max_minutes: train for this time in place of the recipe's steps. resume:
    go on with the training that is in `out`. device: auto, cpu or cuda. threads: of the CPU.
    """

    pairs: Path
    out: Path
    config: str | None = None
    overrides: tuple[str, ...] = ()
    max_minutes: float | None = None
    resume: bool = False
    device: str = "auto"
    threads: int | None = None


@dataclass(frozen=True)
class PoseNetResult:
    """network: its folder. accuracy: on the held-out frames, by part."""

    network: Path
    card: PoseNetCard
    accuracy: dict[str, PartAccuracy]
    notes: tuple[str, ...]


def train_posenet(request: PoseNetRequest, progress: Progress = SILENT) -> PoseNetResult:
    """Train a pose network on the training frames of a pair set; Ctrl-C or SIGTERM leaves a state to resume from.

    Raises RecipeError, PairSetError or ModelError for what does not fit, Interrupted at Ctrl-C, Terminated at SIGTERM.
    """
    notes = Notes(progress)
    with quiet_libraries(), termination_ends("SIGTERM between two steps; every state that was saved is whole"):
        pairs = PairSet.load(request.pairs)
        recipe, minutes = _asked(request, pairs)
        frames, held_out = _frames(pairs, recipe)
        device = prepare_device(request.device, request.threads)
        _say(recipe, frames, held_out, device, notes)
        network = build_posenet(recipe, frames.joints)
        _begin(request.out, pairs, recipe, minutes)
        trainer = _train(request.out, recipe, network, frames, held_out, minutes, device, notes)
        network.eval()
        accuracy = part_accuracy(network, held_out, CARD_FRAMES)
        card = _card(pairs, recipe, network, held_out, accuracy, trainer.at.step)
        save_posenet(network, card, request.out)
    return PoseNetResult(request.out, card, accuracy, notes.kept)


def build_posenet(recipe: PoseNetRecipe, joints: JointMap) -> PoseNet:
    """A network with seeded random weights."""
    sizes = recipe.network.model_dump()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        return PoseNet(joints=joints, canvas=recipe.canvas.model_dump(), **sizes)


def _asked(request: PoseNetRequest, pairs: PairSet) -> tuple[PoseNetRecipe, float | None]:
    """The recipe and time of a new training, or those that the resumed one was begun with; nothing is written."""
    stored = request.out / RECIPE
    if not stored.exists():
        return load_posenet_recipe(request.config or "posenet-nano", request.overrides), request.max_minutes
    if not request.resume:
        fix = "add --resume to go on with it, or choose another --out"
        raise ModelError(f"{request.out}: holds a training already", fix=fix)
    recipe, kept = load_posenet_recipe(str(stored)), _read_settings(request.out / SETTINGS)
    asked = load_posenet_recipe(request.config or str(stored), request.overrides)
    if asked != recipe:
        fix = "leave --config, --set and --seed out, or choose another --out"
        raise ModelError(f"{stored} differs from the recipe asked for", fix=fix)
    if kept["fingerprint"] != pairs.fingerprint:
        raise PairSetError(f"{request.pairs} is not the pair set that {request.out} was begun with")
    return recipe, kept["max_minutes"]


def _begin(out: Path, pairs: PairSet, recipe: PoseNetRecipe, minutes: float | None) -> None:
    """Write what a later --resume is held to."""
    if not (out / RECIPE).exists():
        write_json(make_folder(out) / SETTINGS, {"fingerprint": pairs.fingerprint, "max_minutes": minutes})
        write_text(out / RECIPE, recipe.to_yaml())


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        kept = read_json(path)
        minutes = kept["max_minutes"]
        if not (minutes is None or (isinstance(minutes, (int, float)) and minutes > 0)):
            raise ValueError(f"max_minutes is {minutes!r}")
        return {"fingerprint": kept["fingerprint"], "max_minutes": minutes}
    except (OSError, ValueError, TypeError, KeyError) as error:
        found, fix = f"{path}: cannot be read ({error})", "begin again with another --out"
        raise ModelError(found, expected="what signgen train-posenet wrote", fix=fix) from error


def _frames(pairs: PairSet, recipe: PoseNetRecipe) -> tuple[PoseFrames, PoseFrames]:
    """Training frames, and held-out ones with the same joints."""
    canvas = Canvas(**recipe.canvas.model_dump())
    frames = PoseFrames(pairs, "train", canvas, recipe.augmentation, recipe.seed)
    return frames, PoseFrames(pairs, "val", canvas, PoseAugmentation(), recipe.seed, frames.joints)


def _say(recipe: PoseNetRecipe, frames: PoseFrames, held_out: PoseFrames, device: torch.device, notes: Notes) -> None:
    counts = f"{len(frames)} training frames, {len(held_out)} held-out ones"
    notes.add(f"{recipe.name}, {len(frames.joints)} joints, {counts}, device {device}", "recipe")
    people, unseen = len(_signers(held_out)), len(_unseen(frames.pairs, held_out))
    if unseen < people:
        notes.add(f"{people - unseen} of {people} signers of the held-out frames are in training frames too", "note")


def _train(
    out: Path,
    recipe: PoseNetRecipe,
    network: PoseNet,
    frames: PoseFrames,
    held_out: PoseFrames,
    minutes: float | None,
    device: torch.device,
    notes: Notes,
) -> Trainer:
    """Train to the end; the network then has the averaged weights."""
    AcceleratorState._reset_state()  # one a process: an earlier run may have had another device
    accelerator = Accelerator(
        cpu=device.type == "cpu", dataloader_config=DataLoaderConfiguration(split_batches=True), mixed_precision="no"
    )
    if accelerator.num_processes > 1:
        raise ModelError(f"train-posenet in {accelerator.num_processes} processes", expected="one")
    seconds = None if minutes is None else minutes * 60 * _BUDGET_FOR_STEPS
    plan = Plan(recipe.training.steps if minutes is None else None, seconds, recipe.save_every)
    trainer = Trainer(PoseStage(recipe, network, held_out), frames, plan, out, accelerator, recipe.seed)
    trainer.resume()
    for line in trainer.told:
        notes.add(line, "note")
    with notes.progress.bar("pose network", trainer.at.steps, keep=True) as bar:
        trainer.train(bar, recipe.workers)
    return trainer


def _card(
    pairs: PairSet,
    recipe: PoseNetRecipe,
    network: PoseNet,
    held_out: PoseFrames,
    accuracy: dict[str, PartAccuracy],
    steps: int,
) -> PoseNetCard:
    return PoseNetCard(
        digest=network.digest,
        joints=network.joints,
        canvas=recipe.canvas.model_dump(),
        recipe=recipe.model_dump(mode="json"),
        licence=recipe.licence,
        data={"fingerprint": pairs.fingerprint, "clips": [clip.name for clip in pairs.clips][:100]},
        seed=recipe.seed,
        steps=steps,
        accuracy={part: {**each.shares, "points": each.points} for part, each in accuracy.items()},
        frames=len(spread(len(held_out), CARD_FRAMES)),
        signers=len(_signers(held_out)),
        unseen_signers=len(_unseen(pairs, held_out)),
        definition=DEFINITION,
    )


def _signers(frames: PoseFrames) -> set[str]:
    return {frames.pairs.clips[clip].signer for clip in np.unique(frames.rows[:, 0])}


def _unseen(pairs: PairSet, held_out: PoseFrames) -> set[str]:
    """Signers of the held-out frames who are in no training triple."""
    trained = {pairs.clips[clip].signer for clip in np.unique(pairs.triples("train")["clip"])}
    return _signers(held_out) - trained
