"""A run: a pair set and a recipe in; a run folder with both stages, logs, samples and the model folder out."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, DataLoaderConfiguration, InitProcessGroupKwargs
from accelerate.state import AcceleratorState

from signgen.config import Augmentation, Recipe, StageSettings, changed_recipe, load_recipe
from signgen.errors import ModelError, PairSetError, RecipeError
from signgen.files import disk_full_is_oserror, make_folder, write_json, write_text
from signgen.interrupts import termination_ends
from signgen.models.build import build_fusion, build_pipeline
from signgen.models.canvas import Canvas
from signgen.models.card import ModelCard, check_weights, damaged_file, palette_of, save_model
from signgen.models.device import precision_note, prepare_device, usable_precision
from signgen.models.fusion import FusionModel
from signgen.models.heat_maps import PoseNetwork
from signgen.models.lora import add_lora, save_lora
from signgen.models.pipeline import SignerPipeline
from signgen.models.pose_adapters import open_pose_network
from signgen.models.quiet import quiet_libraries
from signgen.models.trial import check_fusion
from signgen.models.weights import weights_digest
from signgen.pairs.pairset import PairSet
from signgen.poses.skeletons import COCO_WHOLEBODY_133
from signgen.progress import SILENT, Notes, Progress
from signgen.training.batch_split import divide_batches
from signgen.training.checkpoints import Checkpoints, read_progress
from signgen.training.clip_canvas import with_clip_canvas
from signgen.training.data.dataset import TripleDataset
from signgen.training.diffusion import DiffusionStage, diffusion_module
from signgen.training.features import build_features, feature_cache, kept_of, parked
from signgen.training.fit import fit, parse_memory
from signgen.training.fusion import FusionStage
from signgen.training.init_from import Start
from signgen.training.loop import Plan, Trainer
from signgen.training.request import TrainRequest, TrainResult, asked_recipe, read_settings
from signgen.training.resume import check_resumed
from signgen.training.sharding import check_shardable, check_sharding
from signgen.training.stages import Stage, stages_of

BUDGET_FOR_STEPS = 0.97  # of --max-minutes; the rest is validation and saving
LONGEST_WAIT = timedelta(hours=2)  # of a process for the others, which may write a state or validate
MIXED_PRECISION = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}


def train(request: TrainRequest, progress: Progress = SILENT) -> TrainResult:
    """Train stage 1 (fusion), then stage 2 (diffusion), on a pair set; Ctrl-C or SIGTERM leaves a state to resume from.

    Under `torchrun` or `accelerate launch` every process calls it; the first one writes, and shows its progress.
    Raises RecipeError, PairSetError, ModelError or WeightsError for what does not fit, Interrupted at Ctrl-C,
    Terminated at SIGTERM.
    """
    notes = Notes(progress)
    with quiet_libraries(), termination_ends("SIGTERM between two stages' steps; every state that was saved is whole"):
        run = open_run(request, notes)
        run.note(
            f"{run.recipe.name}, {len(run.pairs.triples('train'))} training triples,"
            f" {len(run.pairs.triples('val'))} validation rows, device {run.accelerator.device}",
            "recipe",
        )
        model = run.train()
    fusion = run.folder / "fusion"
    if run.request.lora is not None:  # the resumed run's
        return TrainResult(None, None, notes.kept, model)
    return TrainResult(model, fusion if fusion.is_dir() else None, notes.kept)


class TrainingRun:
    """One run folder and what is needed to train in it."""

    def __init__(self, pairs: PairSet, recipe: Recipe, request: TrainRequest, notes: Notes | None = None) -> None:
        self.pairs, self.recipe, self.folder, self.request = pairs, recipe, request.out, request
        self.notes = notes or Notes()
        device = prepare_device(request.device, request.threads)
        check_sharding(device)
        AcceleratorState._reset_state()  # one a process: an earlier run may have had another precision or device
        self.accelerator = Accelerator(
            cpu=device.type == "cpu",
            mixed_precision=MIXED_PRECISION[usable_precision(recipe.training.precision, device)],
            dataloader_config=DataLoaderConfiguration(split_batches=True),
            kwargs_handlers=[InitProcessGroupKwargs(timeout=LONGEST_WAIT)],
        )
        if note := precision_note(recipe.training.precision, device):
            self.note(note, "precision")
        self.palette = palette_of(recipe)
        # The recipe as these processes train it: what they cannot share evenly is split otherwise.
        fitting, said = self._fit_batches(recipe)
        self.divided, lines = divide_batches(fitting, self.accelerator.num_processes)
        lines = [*said, *lines]
        for line in lines:
            self.note(line, "note")
        if self.accelerator.is_fsdp2:
            check_shardable(self.divided, request.lora is not None)
        self._check_data()
        self.judge = self._judge()
        begin_from = request.adapt or request.init
        self.start = Start(begin_from, recipe) if begin_from else None

    def _fit_batches(self, recipe: Recipe) -> tuple[Recipe, list[str]]:
        """On a GPU, micro-batches that its free memory has room for, by count; elsewhere the recipe's."""
        if self.accelerator.device.type != "cuda" or self.request.lora is not None:  # an adapter takes far less
            return recipe, []
        free, _ = torch.cuda.mem_get_info(self.accelerator.device)
        try:
            found, lines = fit(recipe, free, self.accelerator.num_processes, measures=False)
        except RecipeError as error:  # a count is no measurement: it is said, and tried
            return recipe, [f"{error.found} by count, {free / 2**30:.1f} are free: add --fit if memory runs out"]
        return found, [line for line in lines if "micro-batches" in line]

    @property
    def progress(self) -> Progress:
        """Where the first process shows how far it is; the others show nothing."""
        return self.notes.progress if self.accelerator.is_main_process else SILENT

    def note(self, text: str, about: str = "") -> None:
        """Say something once, by the first process."""
        if self.accelerator.is_main_process:
            self.notes.add(text, about)

    def _check_data(self) -> None:
        if self.palette.skeleton != (found := self.pairs.poses(self.pairs.clips[0].name).skeleton):
            raise PairSetError(f"the pair set's poses are {found}", expected=f"{self.palette.skeleton}, the recipe's")
        if self.pairs.listed and (meant_for_clips := self._meant_for_clips()):
            raise PairSetError(
                f"a pair set made of lists of pairs, but the recipe asks for {', '.join(meant_for_clips)}",
                expected="a recipe without what only clips of signers have",
                fix="train with --config nano-pictures, or extend it",
            )
        if self.recipe.part_warp and self.palette.skeleton != COCO_WHOLEBODY_133.name:
            raise RecipeError(
                f"the condition part_warp with poses of {self.palette.skeleton}",
                expected=COCO_WHOLEBODY_133.name,
                fix="take it out of the recipe, as nano-pictures does",
            )
        if not len(self.pairs.triples("train")):
            lists = "build one from a copy of the data set with its train list"
            clips = "build one of longer clips, or with a smaller --holdout-tail of signgen build-pairs"
            raise PairSetError("the pair set has no training triples", fix=lists if self.pairs.listed else clips)

    def _meant_for_clips(self) -> list[str]:
        """Keys of the recipe whose values need a first frame, neighbouring frames, or hands and a face."""
        keys = [
            f"training.{name}.augmentation.first_source"
            for name in ("fusion", "diffusion")
            if getattr(self.recipe.training, name).augmentation.first_source
        ]
        kinds = [condition.kind for condition in self.recipe.conditions]
        if self.recipe.pose_window:
            keys.append(f"conditions.{kinds.index('pose_map')}.options.window")
        return [*keys, "the condition part_warp"] if self.recipe.part_warp else keys

    def train(self) -> Path | None:
        """Train the stages that are asked for and not finished; returns the model folder, None if there is none yet."""
        began = time.monotonic()
        write_text(self.folder / "recipe.yaml", self.recipe.to_yaml())
        wanted = self.request.stage
        if self.request.adapt and self.start:
            fusion = self.start.fusion
        else:
            fusion = self._fusion_stage(train=wanted in (None, "fusion")) if self.recipe.fusion.enabled else None
        if wanted == "fusion":
            return None
        pipeline = build_pipeline(self.recipe, fusion)
        if self.start:
            for name in {"unet", "conditions", "source_encoder"} & set(pipeline.networks()):
                self.start.fill(name, pipeline.components[name])
        adapted = None
        if self.request.lora is not None:
            adapted = weights_digest(pipeline.unet)
            add_lora(pipeline.unet, self.request.lora)
        self._to_device(pipeline)
        pipeline, steps = self._diffusion_stage(pipeline)
        if adapted is not None:
            return self._save_adapter(pipeline, adapted, steps)
        model = self._save(pipeline, steps, time.monotonic() - began)
        self._save_best(pipeline)
        return model

    def _fusion_stage(self, train: bool) -> FusionModel:
        """Stage 1, trained now or loaded from the run."""
        result = self.folder / "fusion"
        if (result / "config.json").is_file() and self._finished("fusion"):
            return _trained_fusion(result)
        if not train:
            raise ModelError(f"{self.folder}: stage fusion is not finished", fix="train it first, with --stage fusion")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.recipe.seed)
            fusion = build_fusion(self.recipe)
        if self.start:
            self.start.fill("fusion", fusion)
        stage = FusionStage(self.divided, fusion, self._validation())
        trainer = self._train_stage(stage, self._triples("train", stage.settings.augmentation))
        if self.accelerator.is_main_process:
            with disk_full_is_oserror(make_folder(result)):
                trainer.plain.export(result)
        self.accelerator.wait_for_everyone()
        return _trained_fusion(result) if trainer.sharded else fusion.eval()

    def _diffusion_stage(self, pipeline: SignerPipeline) -> tuple[SignerPipeline, int]:
        """Stage 2: the pipeline that holds its weights in the first process, and the number of its steps."""
        seen = {"window": self.recipe.pose_window, "part_warp": self.recipe.part_warp, "points": self.recipe.keypoints}
        validation, adapter = self._validation(**seen), self.request.lora is not None
        stage = DiffusionStage(self.divided, pipeline, validation, self.accelerator.device, adapter, self.judge)
        dataset = self._triples("train", stage.settings.augmentation, **seen)
        self._tell_of_cache(dataset)
        began = time.monotonic()
        self._prepare_references(dataset)
        if self.request.adapt and self.start:
            pipeline.register_to_config(base_scale=self.start.base_scale)
        else:
            stage.calibrate(dataset)
        self._keep_features(dataset, pipeline, stage)
        trainer = self._train_stage(stage, dataset, time.monotonic() - began)
        assert isinstance(trainer.plain, DiffusionStage)
        return trainer.plain.pipeline, trainer.at.step

    def _judge(self) -> PoseNetwork | None:
        """The pose network of the recipe's penalty, which may not judge the model afterwards."""
        penalty = self.recipe.diffusion.pose_penalty
        if not penalty.weight or penalty.network is None:
            return None
        network = open_pose_network(Path(penalty.network), penalty.joints)
        if not network.differentiable:
            raise ModelError(f"{penalty.network}: no gradient passes through it", expected="a network that torch runs")
        return network.to(self.accelerator.device)  # type: ignore[attr-defined]

    def _save_adapter(self, pipeline: SignerPipeline, base: str, steps: int) -> Path:
        """Write RUN/lora. base: digest of the UNet that it is of."""
        folder = self.folder / "lora"
        if self.accelerator.is_main_process:
            card = self._card({"fusion": 0, "diffusion": steps})
            about = {"rank": self.request.lora, "model": str(self.request.adapt), "steps": steps, "data": card.data}
            save_lora(pipeline.unet, base, about, folder)
        self.accelerator.wait_for_everyone()
        return folder

    def _save_best(self, pipeline: SignerPipeline) -> None:
        """Write RUN/best, the model whose validation was best; the pipeline has its weights afterwards."""
        checkpoints, score = Checkpoints(self.folder, "diffusion"), self.recipe.training.keep_best
        best = checkpoints.best() if score else None
        if score and best is not None and self.accelerator.is_main_process:
            module = diffusion_module(self.recipe, pipeline)
            module.load_state_dict(checkpoints.best_weights(self.accelerator.device))
            folder, counts = self.folder / "best", {"fusion": self._steps_of("fusion"), "diffusion": best["step"]}
            save_model(pipeline, self._card(counts), folder)
            self.note(f"{folder}: step {best['step']}, {score} {best[score]:.4f}", "best")
        self.accelerator.wait_for_everyone()

    def _prepare_references(self, dataset: TripleDataset) -> None:
        """Cut out the frames that part warps will be made of, before steps are timed."""
        if dataset.part_warps is None or not dataset.augmentation.references:
            return
        clips = [clip.name for clip in self.pairs.clips if clip.train_frames]
        for _ in self.progress.track(dataset.part_warps.prepare(clips), "references", len(clips)):
            pass

    def _keep_features(self, dataset: TripleDataset, pipeline: SignerPipeline, stage: DiffusionStage) -> None:
        """Compute what frozen networks make of single frames once, and let the dataset give that."""
        if not self.recipe.training.feature_cache:
            return
        cache, notes = feature_cache(self.recipe, pipeline, dataset, self.accelerator.mixed_precision)
        for note in notes:
            self.note(note, "note")
        if cache is None:
            return
        build_features(cache, pipeline, dataset, self.accelerator, self.recipe.training.workers, self.progress)
        dataset.kept = kept_of(cache, self.recipe, pipeline)
        if self.recipe.training.diffusion.frozen_on_cpu:
            stage.park(parked(cache, self.recipe, pipeline))

    def _tell_of_cache(self, dataset: TripleDataset) -> None:
        """Say where source banks cannot be kept: every loader process, and every run, then builds its own."""
        warps = dataset.part_warps
        if warps is not None and not warps.stored.writable:
            self.note(f"{warps.stored.folder} cannot be written: source banks are kept in memory only", "note")

    def _train_stage(self, stage: Stage, dataset: TripleDataset, spent: float = 0.0) -> Trainer:
        """Train the stage. spent: seconds of it that are gone already."""
        plan = self._plan(stage.settings, spent)
        trainer = Trainer(stage, dataset, plan, self.folder, self.accelerator, self.recipe.seed)
        trainer.wandb = self.recipe.training.wandb
        trainer.resume()
        for line in trainer.told:
            self.note(line, "note")
        with self.progress.bar(f"stage {stage.name}", trainer.at.steps, keep=True) as bar:
            trainer.train(bar, self.recipe.training.workers)
        self.accelerator.free_memory()
        return trainer

    def _plan(self, settings: StageSettings, spent: float) -> Plan:
        minutes, training = self.request.max_minutes, self.recipe.training
        keep, save_every, best = training.checkpoints, training.save_every, training.keep_best
        if minutes is None:
            return Plan(settings.steps, None, save_every, keep, best)
        shares = sum(each.share for each in stages_of(self.recipe).values())
        seconds = minutes * 60 * BUDGET_FOR_STEPS * settings.share / shares - spent
        return Plan(None, seconds, save_every, keep, best)

    def _finished(self, stage: str) -> bool:
        progress = read_progress(self.folder, stage)
        if progress is None:
            return False
        wanted = progress.steps if self.request.max_minutes else stages_of(self.recipe)[stage].steps
        return wanted is not None and progress.step >= wanted

    def _triples(self, split: str, augmentation: Augmentation, **seen: Any) -> TripleDataset:
        canvas = Canvas(**self.recipe.canvas.model_dump())
        return TripleDataset(self.pairs, split, canvas, self.palette, augmentation, self.recipe.seed, **seen)

    def _validation(self, **seen: Any) -> TripleDataset | None:
        """seen: what stage 2's conditions need beside the triple, see TripleDataset."""
        return self._triples("val", Augmentation(), **seen) if len(self.pairs.triples("val")) else None

    def _to_device(self, pipeline: SignerPipeline) -> None:
        for network in pipeline.networks().values():
            network.to(self.accelerator.device)

    def _save(self, pipeline: SignerPipeline, steps: int, seconds: float) -> Path:
        """Write RUN/model and RUN/run.json."""
        folder = self.folder / "model"
        if self.accelerator.is_main_process:
            counts = {"fusion": self._steps_of("fusion"), "diffusion": steps}
            save_model(pipeline, self._card(counts), folder)
            pairs = str(self.pairs.folder.resolve())  # here and not in the model folder, which may be published
            write_json(self.folder / "run.json", {"pairs": pairs, "steps": counts, "seconds": round(seconds, 1)})
        self.accelerator.wait_for_everyone()
        return folder

    def _steps_of(self, stage: str) -> int:
        progress = read_progress(self.folder, stage)
        return progress.step if progress else 0

    def _card(self, counts: dict[str, int]) -> ModelCard:
        """counts: steps of each stage."""
        data: dict[str, Any] = {
            "fingerprint": self.pairs.fingerprint,
            "clips": [clip.name for clip in self.pairs.clips][:100],
            "cleaned": self.pairs.cleaned,
            "crop": self.pairs.crop_rule,
        }
        if self.start:
            data["started_from"] = self.start.data
        inherited = self.start.pose_networks if self.start else ()
        networks = tuple(dict.fromkeys((*inherited, *((self.judge.digest,) if self.judge else ()))))
        return ModelCard.describe(self._named(), data, counts, torch.get_num_threads(), networks)

    def _named(self) -> Recipe:
        """The recipe, the pose network in it by what it is and not by where it lies: a model may be published."""
        if self.judge is None:
            return self.recipe
        return changed_recipe(self.recipe, (f"diffusion.pose_penalty.network={json.dumps(self.judge.digest)}",), "run")


def _trained_fusion(folder: Path) -> FusionModel:
    """What stage 1 left. Raises ModelError naming the folder."""
    try:
        fusion = FusionModel.from_pretrained(str(folder), local_files_only=True).eval()
        check_weights(fusion, folder)
        check_fusion(fusion)
        return fusion
    except Exception as error:  # a damaged JSON or safetensors file raises anything
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        fix = "delete it, and state/fusion beside it, to train the stage again"
        raise ModelError(f"{damaged_file(folder) or folder}: cannot be loaded ({reason[:160]})", fix=fix) from error


def open_run(request: TrainRequest, notes: Notes | None = None) -> TrainingRun:
    """Begin a run, or go on with one: a resumed run keeps its own recipe, pair set, max_minutes and init."""
    folder = request.out
    stored, settings = folder / "recipe.yaml", folder / "settings.json"
    pairs = PairSet.load(request.pairs)
    request = with_clip_canvas(request, pairs, str(stored) if stored.exists() else None)
    if stored.exists() and not request.resume and request.stage is None:
        raise ModelError(f"{folder}: holds a run already", fix="add --resume to go on with it, or choose another --out")
    if stored.exists():
        recipe = load_recipe(str(stored))
        kept = read_settings(settings)
        if kept["fingerprint"] != pairs.fingerprint:
            raise PairSetError(f"{request.pairs} is not the pair set that {folder} was begun with")
        asked, changes = recipe, []
        if request.config or request.overrides:
            asked = load_recipe(request.config or str(stored), request.overrides)
            if request.fit is not None:
                asked, _ = fit(asked, parse_memory(request.fit), int(os.environ.get("WORLD_SIZE", "1")))
            found = {stage: read_progress(folder, stage) for stage in stages_of(recipe)}
            done = {stage: progress.step for stage, progress in found.items() if progress}
            changes = check_resumed(str(stored), recipe, asked, done)
        init, adapt = (Path(kept[name]) if kept.get(name) else None for name in ("init", "adapt"))
        begun = {"max_minutes": kept["max_minutes"], "init": init, "adapt": adapt, "lora": kept.get("lora")}
        run = TrainingRun(pairs, asked, replace(request, **begun), notes)
        for change in changes:
            run.note(change, "resumed")
        return run
    recipe, lines = asked_recipe(request)
    run = TrainingRun(pairs, recipe, request, notes)
    for line in lines:
        run.note(line, "fit")
    origins = {name: getattr(request, name) for name in ("init", "adapt")}
    places = {name: str(path.resolve()) if path else None for name, path in origins.items()}
    begun = {"max_minutes": request.max_minutes, **places, "lora": request.lora}
    write_json(settings, {"fingerprint": pairs.fingerprint, **begun})
    return run
