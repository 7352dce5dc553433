"""Features of frozen networks: computed once, the same wherever a build was interrupted; the same loss with them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch.utils.data import default_collate

from benchmarks.kill import RECIPE
from signgen.config import changed_recipe
from signgen.errors import PairSetError
from signgen.models.build import build_pipeline
from signgen.models.weights import weights_digest
from signgen.pairs.build import BuildPairsRequest, build_pairs
from signgen.progress import SILENT, Notes
from signgen.training import features
from signgen.training.cost import stage_costs
from signgen.training.data.batches import Sample
from signgen.training.data.dataset import TripleDataset
from signgen.training.data.feature_cache import CHUNK, FRAME, FeatureCache, Kind
from signgen.training.diffusion import DiffusionStage
from signgen.training.dry_run import DryRun, saved_work
from signgen.training.features import build_features, feature_cache, kept_of, parked, plan_features
from signgen.training.run import TrainingRun, TrainRequest, open_run
from signgen.training.stages import signed_range, unit_range
from tests.models.test_pipeline import randomised
from tests.training.test_loop import column
from tests.worlds import write_world

ROWS = [Sample(epoch, row) for epoch in range(2) for row in range(4)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    build_pairs(BuildPairsRequest(write_world(root / "videos"), root / "pairs", holdout_tail=0.25, count=40))
    (root / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    return root


@pytest.fixture
def pairs(world: Path, tmp_path: Path) -> Path:
    """A pair set without features."""
    return Path(shutil.copytree(world / "pairs", tmp_path / "pairs", ignore=shutil.ignore_patterns("cache")))


def opened(world: Path, pairs: Path, *overrides: str) -> tuple[TrainingRun, DiffusionStage, TripleDataset]:
    torch.set_num_threads(1)
    run = open_run(TrainRequest(pairs, pairs / "run", str(world / "recipe.yaml"), overrides, device="cpu"))
    pipeline = randomised(build_pipeline(run.recipe))
    stage = DiffusionStage(run.divided, pipeline, None, torch.device("cpu"))
    part_warp = {"part_warp": run.recipe.part_warp}
    return run, stage, run._triples("train", stage.settings.augmentation, **part_warp)


def loss(stage: DiffusionStage, dataset: TripleDataset) -> float:
    stage.module.eval()
    batch = stage.sample_noise(default_collate([dataset[sample] for sample in ROWS]), 0)
    with torch.no_grad():
        return stage.module(batch)["loss"].item()


TOKENS = "{kind: source_tokens, options: {hidden: 16}}, {kind: pose_map, options: {channels: [8, 8, 8]}}"
WARP = f"conditions=[{TOKENS}, {{kind: part_warp}}, {{kind: source_latent}}]"
ALIGNED = (
    "conditions=[{kind: aligned_tokens, 'null': learned, options: {width: 16, heads: 2, radius: 2, recurrences: 2,"
    " source_pose: true}}, {kind: pose_latent}]",
    "source_encoder.enabled=false",
    "fusion.enabled=false",
)
UNKNOWN = "training.diffusion.augmentation.unknown_source_pose=0.3"
WARP_AND_FUSION = f"conditions=[{TOKENS}, {{kind: part_warp}}, {{kind: source_latent}}, {{kind: fusion_vector}}]"
PIXELS = "image_space={kind: pixel-unshuffle, factor: 4, origin: null, config: {}}"
OWN_JITTER = "training.diffusion.augmentation.pose_variants=0"
BOTH = {"source", "target"}
# overrides, kinds that are kept, pictures that items then lack
SETTINGS: dict[str, tuple[tuple[str, ...], set[str], set[str]]] = {
    "all of it": ((), {"latent", "tokens", "embedding", "pose"}, BOTH),
    "a jitter of its own": ((OWN_JITTER,), {"latent", "tokens", "embedding"}, BOTH),
    "trained encoder": (("source_encoder.trainable=true",), {"latent", "embedding", "pose"}, {"target"}),
    "no stage 1": (("fusion.enabled=false",), {"latent", "tokens"}, BOTH),
    "pixels": ((PIXELS,), {"tokens", "embedding", "pose"}, {"source"}),
    "the source's latent": ((WARP, "fusion.enabled=false"), {"latent", "tokens"}, BOTH),
    "pose latents": (ALIGNED, {"latent", "pose_latent", "source_pose_latent"}, BOTH),
    "pose latents of own jitter": ((*ALIGNED, OWN_JITTER), {"latent", "source_pose_latent"}, BOTH),
    "unknown source poses": ((*ALIGNED, UNKNOWN), {"latent", "pose_latent"}, BOTH),
    "pose latents of pixels": ((*ALIGNED, PIXELS), set(), set()),
    "moved pixels": (("training.diffusion.augmentation.shift=2",), set(), set()),
}


@pytest.mark.parametrize("kind", SETTINGS)
def test_the_same_loss_with_features_and_without(world: Path, pairs: Path, kind: str) -> None:
    overrides, expected, gone = SETTINGS[kind]
    run, stage, dataset = opened(world, pairs, *overrides)
    online = loss(stage, dataset)
    cache, notes = feature_cache(run.recipe, stage.pipeline, dataset, "no")
    assert notes == ()
    if not expected:
        assert cache is None
        return
    assert cache is not None
    assert cache.kinds.keys() == expected
    build_features(cache, stage.pipeline, dataset, run.accelerator, 0, SILENT)
    before = dataset[Sample(0, 0)]
    dataset.kept = kept_of(cache, run.recipe, stage.pipeline)
    after = dataset[Sample(0, 0)]
    assert before.keys() - after.keys() == gone
    assert loss(stage, dataset) == pytest.approx(online, rel=2e-5)
    for name in ("target_pose", "regions", "source_pose"):
        assert torch.equal(before[name], after[name])


def test_every_item_has_the_features_of_its_own_pictures(world: Path, pairs: Path) -> None:
    augmentation = ("identity=0.3", "mirror=0.5", "pose_variants=2")
    overrides = [f"training.diffusion.augmentation.{each}" for each in augmentation]
    run, stage, dataset = opened(world, pairs, *overrides, WARP_AND_FUSION)
    pipeline = stage.pipeline
    rows = [Sample(epoch, row) for epoch in range(2) for row in range(len(dataset))]
    pictures = [dataset[sample] for sample in rows]
    cache, _ = feature_cache(run.recipe, pipeline, dataset, "no")
    assert cache is not None
    build_features(cache, pipeline, dataset, run.accelerator, 0, SILENT)
    dataset.kept = kept_of(cache, run.recipe, pipeline)
    networks = {
        "target_latent": lambda item: pipeline.space.encode(signed_range(item["target"][None])),
        "source_latent": lambda item: pipeline.space.encode(signed_range(item["source"][None])),
        "source_tokens": lambda item: pipeline.source_tokens(signed_range(item["source"][None])),
        "source_embedding": lambda item: pipeline.fusion.embed(unit_range(item["source"][None])),
        "pose_embedding": lambda item: pipeline.fusion.embed(unit_range(item["target_pose"][None])),
    }
    seen: dict[str, set[bytes]] = {name: set() for name in networks}
    for sample, shown in zip(rows, pictures, strict=True):
        item = dataset[sample]
        for name, network in networks.items():
            with torch.no_grad():
                expected = network(shown)[0]
            assert torch.allclose(item[name].float(), expected, atol=2e-3 * expected.abs().max().item()), name
            seen[name].add(item[name].numpy().tobytes())
    assert min(map(len, seen.values())) > 10


def test_every_item_has_the_latents_of_its_own_poses(world: Path, pairs: Path) -> None:
    """A target's in its jitter, a source's without any; mirrored, and of sources at half the resolution."""
    augmentation = ("identity=0.3", "mirror=0.5", "pose_variants=2", "half_source=0.5")
    overrides = [f"training.diffusion.augmentation.{each}" for each in augmentation]
    run, stage, dataset = opened(world, pairs, *overrides, *ALIGNED)
    rows = [Sample(epoch, row) for epoch in range(2) for row in range(len(dataset))]
    cache, _ = feature_cache(run.recipe, stage.pipeline, dataset, "no")
    assert cache is not None
    build_features(cache, stage.pipeline, dataset, run.accelerator, 0, SILENT)
    dataset.kept = kept_of(cache, run.recipe, stage.pipeline)
    seen: dict[str, set[bytes]] = {"target_pose": set(), "source_pose": set()}
    for sample in rows:
        item = dataset[sample]
        for shown, name in (("target_pose", "pose_latent"), ("source_pose", "source_pose_latent")):
            with torch.no_grad():
                expected = stage.pipeline.space.encode(signed_range(item[shown][None]))[0]
            assert torch.allclose(item[name].float(), expected, atol=2e-3 * expected.abs().max().item()), name
            seen[shown].add(item[name].numpy().tobytes())
    assert min(map(len, seen.values())) > 10


@pytest.mark.parametrize("override", [None, OWN_JITTER, UNKNOWN])
def test_what_is_counted_as_kept_is_what_no_step_asks(
    world: Path, pairs: Path, monkeypatch: Any, override: str | None
) -> None:
    """The image space is parked where every latent that is read is kept, and the counted work says the same."""
    run, stage, dataset = opened(world, pairs, *ALIGNED, *([override] if override else []))
    cost = stage_costs(run.recipe)["diffusion"]
    plan = plan_features(run.recipe, stage.pipeline, dataset.triples, 1 << 40)
    saved = saved_work(DryRun(run.recipe, {}, plan, "fp32", None), cost)
    gone = {"image_space: pose_latent": OWN_JITTER, "image_space: source_pose_latent": UNKNOWN}
    expected = {"image_space: target", "image_space: source", *(work for work in gone if gone[work] != override)}
    assert saved == cost.cached.keys() == expected
    cache, _ = feature_cache(run.recipe, stage.pipeline, dataset, "no")
    assert cache is not None
    assert (stage.pipeline.image_space in parked(cache, run.recipe, stage.pipeline)) == (override is None)
    assert ("image_space" in cost.parked) == (override is None)
    build_features(cache, stage.pipeline, dataset, run.accelerator, 0, SILENT)
    dataset.kept = kept_of(cache, run.recipe, stage.pipeline)
    encoded: list[int] = []
    encode = stage.pipeline.image_space.encode
    monkeypatch.setattr(stage.pipeline.image_space, "encode", lambda x: encoded.append(len(x)) or encode(x))
    loss(stage, dataset)
    assert encoded == ([] if override is None else [len(ROWS)])


def test_frozen_networks_that_are_kept_are_not_asked(world: Path, pairs: Path, monkeypatch: Any) -> None:
    run, stage, dataset = opened(world, pairs)
    cache, _ = feature_cache(run.recipe, stage.pipeline, dataset, "no")
    assert cache is not None
    build_features(cache, stage.pipeline, dataset, run.accelerator, 0, SILENT)
    dataset.kept = kept_of(cache, run.recipe, stage.pipeline)

    def asked(*_: object, **__: object) -> None:
        raise AssertionError("asked")

    monkeypatch.setattr(stage.pipeline.source_encoder, "forward", asked)
    monkeypatch.setattr(stage.pipeline.fusion, "embed", asked)
    monkeypatch.setattr(stage.pipeline.image_space, "encode", asked)
    assert np.isfinite(loss(stage, dataset))


def test_networks_that_no_step_asks_can_wait_elsewhere(world: Path, pairs: Path) -> None:
    run, stage, dataset = opened(world, pairs)
    cache, _ = feature_cache(run.recipe, stage.pipeline, dataset, "no")
    assert cache is not None
    pipeline = stage.pipeline
    expected = [pipeline.image_space, pipeline.source_encoder, pipeline.fusion.tower]
    assert parked(cache, run.recipe, pipeline) == expected
    penalised = ("diffusion.pose_penalty.network=net", "diffusion.pose_penalty.weight=1")
    assert parked(cache, changed_recipe(run.recipe, penalised, ""), pipeline) == expected[1:]  # it decodes in each step
    build_features(cache, pipeline, dataset, run.accelerator, 0, SILENT)
    dataset.kept = kept_of(cache, run.recipe, pipeline)
    before = loss(stage, dataset)
    stage.park(expected)
    for network in expected:
        network.to("meta")  # the loss does not ask them
    assert loss(stage, dataset) == before


def test_a_build_that_was_interrupted_gives_the_same_features(world: Path, pairs: Path) -> None:
    run, stage, dataset = opened(world, pairs)
    cache, _ = feature_cache(run.recipe, stage.pipeline, dataset, "no")
    assert cache is not None
    build_features(cache, stage.pipeline, dataset, run.accelerator, 0, SILENT)
    whole = {name: np.load(cache.folder / f"{name}.npy") for name in cache.kinds}
    shutil.rmtree(cache.folder)
    cache.prepare()
    for name, kind in cache.kinds.items():  # other processes did every third chunk
        some = [chunk for chunk in range(kind.chunks) if chunk % 3 == 0]
        loader = torch.utils.data.DataLoader(features._Chunks(dataset, kind, np.array(some)), batch_size=None)
        list(cache.build(name, some, features._computed(name, stage.pipeline, run.accelerator, loader)))
        assert set(cache.missing(name)) == set(range(kind.chunks)) - set(some)
    build_features(cache, stage.pipeline, dataset, run.accelerator, 0, SILENT)
    for name, values in whole.items():
        assert np.array_equal(np.load(cache.folder / f"{name}.npy"), values)
        assert values.std() > 0


def test_processes_that_begin_at_other_moments_compute_every_chunk(world: Path, pairs: Path) -> None:
    """The second looks for what is missing when the first is at work already."""
    run, stage, dataset = opened(world, pairs)
    cache, _ = feature_cache(run.recipe, stage.pipeline, dataset, "no")
    assert cache is not None
    cache.prepare()
    first, (kind, *_) = next(iter(cache.kinds)), cache.kinds.values()
    begun = np.zeros(kind.chunks, bool)
    begun[::2] = True  # what process 0 of 2 has done
    np.save(cache.folder / f"{first}-done.npy", begun)
    second = Shared(run.accelerator, 1, 2)
    with pytest.raises(PairSetError, match=r"chunks of \w+ were not computed"):  # of the next kind, process 0's
        build_features(cache, stage.pipeline, dataset, second, 0, SILENT)  # type: ignore[arg-type]
    assert kind.chunks == 2  # by places among what is missing, process 1 would have had none
    assert len(cache.missing(first)) == 0


class Shared:
    """An accelerator that says it is one of several."""

    def __init__(self, accelerator: Any, process: int, processes: int) -> None:
        self._accelerator = accelerator
        self.process_index, self.num_processes, self.is_main_process = process, processes, process == 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._accelerator, name)


def test_a_resumed_run_has_the_room_that_it_had(pairs: Path) -> None:
    before = features.room_for_features(pairs)
    taken = pairs / "cache" / "features" / "x"
    taken.mkdir(parents=True)
    (taken / "tokens.npy").write_bytes(bytes(64 << 20))
    assert abs(features.room_for_features(pairs) - before) < 8 << 20


def test_what_would_differ_has_another_place(world: Path, pairs: Path) -> None:
    places = set()
    for overrides in ((), ("canvas.resample=area",), ("training.diffusion.augmentation.pose_jitter=2",), ("seed=1",)):
        run, stage, dataset = opened(world, pairs, *overrides)
        cache, _ = feature_cache(run.recipe, stage.pipeline, dataset, "no")
        assert cache is not None
        places.add(cache.folder)
        shutil.rmtree(pairs / "run")
    assert len(places) == 4


@pytest.mark.parametrize("damage", ["key", "shape", "chunks"])
def test_files_of_something_else_are_refused(tmp_path: Path, damage: str) -> None:
    frames = np.array([(0, number, 0) for number in range(CHUNK + 3)], FRAME)
    cache = FeatureCache(tmp_path, {"weights": "a"}, [Kind("tokens", frames, (2, 3))])
    cache.prepare()
    cache.check()
    if damage == "key":
        (cache.folder / "features.json").write_text("{}")
    elif damage == "shape":
        np.save(cache.folder / "tokens.npy", np.zeros((1, 2), np.float16))
    else:
        np.save(cache.folder / "tokens-done.npy", np.zeros(5, bool))
    with pytest.raises(PairSetError, match=r"no features of this run .*delete the folder"):
        cache.check()


def test_frames_are_found_and_others_are_not(tmp_path: Path) -> None:
    frames = np.sort(np.array([(clip, frame, form) for clip in (1, 4) for frame in (0, 7) for form in (0, 1)], FRAME))
    cache = FeatureCache(tmp_path, {}, [Kind("embedding", frames, (1,))])
    cache.prepare()
    values = {tuple(frame): number for number, frame in enumerate(frames.tolist())}

    def compute(asked: np.ndarray) -> np.ndarray:
        assert len(asked) == CHUNK
        return np.array([[values[tuple(frame)]] for frame in asked.tolist()])

    assert list(cache.build("embedding", cache.missing("embedding").tolist(), compute)) == [0]
    assert cache.get("embedding", 4, 7, 1).item() == values[4, 7, 1]
    with pytest.raises(KeyError, match="frame 3 of clip 4"):
        cache.get("embedding", 4, 3)


def test_sources_that_need_too_much_disk_are_computed_in_every_step(world: Path, pairs: Path) -> None:
    run, stage, dataset = opened(world, pairs)
    whole = plan_features(run.recipe, stage.pipeline, dataset.triples, 1 << 40)
    tokens = next(kind for kind in whole.kinds if kind.name == "tokens")
    few = plan_features(run.recipe, stage.pipeline, dataset.triples, whole.nbytes - tokens.nbytes)
    assert {kind.name for kind in few.kinds} == {"latent", "embedding", "pose"}
    assert few.notes[0].startswith(f"tokens of {len(tokens.frames)} frames would take 0.0 GB")
    assert few.notes[0].endswith("computed in every step")


def test_a_run_uses_them_and_can_do_without(world: Path, pairs: Path) -> None:
    steps = ("training.fusion.steps=2", "training.diffusion.steps=10", "training.diffusion.learning_rate=1e-5")
    losses = {}
    for name, extra in (("with", ()), ("without", ("training.feature_cache=false",))):
        torch.set_num_threads(1)
        notes = Notes()
        request = TrainRequest(pairs, pairs / name, str(world / "recipe.yaml"), (*steps, *extra), device="cpu")
        open_run(request, notes).train()
        losses[name] = column(pairs / name / "logs" / "diffusion-train.csv", "loss")
        assert list((pairs / "cache" / "features").glob("*/features.json"))
    assert losses["with"] == pytest.approx(losses["without"], rel=2e-3)


def test_weights_have_one_digest_each() -> None:
    torch.manual_seed(0)
    first, second = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
    before = weights_digest(first)
    second.load_state_dict(first.state_dict())
    assert weights_digest(second) == before
    with torch.no_grad():
        second.bias[0] += 1e-3
    assert weights_digest(second) != before
