"""The recipe: reads a YAML file (by path or by the name of a shipped recipe), returns a frozen, validated Recipe.

A recipe decides sizes, origins and settings; nothing in it selects another code path for the full-size model.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from signgen.errors import RecipeError, nearest
from signgen.files import parse_yaml, read_yaml
from signgen.registry import PROVIDERS
from signgen.solvers import SOLVERS

_MOST_LAYERS, _WIDEST, _WIDEST_WINDOW = 1000, 1 << 20, 100


def _one_of(names: Iterable[str], what: str) -> AfterValidator:
    """Accept the names of a table, read when a recipe is parsed; `parse_recipe` makes one line of the error."""

    def check(value: str) -> str:
        if value in names:
            return value
        close = nearest(value, list(names))
        context = {"expected": f"one of {', '.join(names)}", "fix": f"did you mean {close}?" if close else None}
        raise PydanticCustomError("not_in_table", f"no such {what}", context)

    return AfterValidator(check)


def too_large(config: Any, key: str = "") -> str | None:
    """The first number of a network's configuration that no network has, in words: building it would never end."""
    if isinstance(config, dict):
        return next((found for name, value in config.items() if (found := too_large(value, str(name)))), None)
    if isinstance(config, list):
        return next((found for value in config if (found := too_large(value, key))), None)
    most = _MOST_LAYERS if "layers" in key else _WIDEST
    return f"{key} is {config}, at most {most} can be" if isinstance(config, int) and config > most else None


def _of_a_size(config: dict[str, Any]) -> dict[str, Any]:
    if found := too_large(config):
        raise PydanticCustomError("too_large", "{found}", {"found": found})
    return config


def _with_a_window(options: dict[str, Any]) -> dict[str, Any]:
    """The one option that is read beside its provider: how many poses a frame is shown with."""
    window = options.get("window", 0)
    if type(window) is not int or not 0 <= window <= _WIDEST_WINDOW:
        raise PydanticCustomError(
            "window", "window is {window}, not 0 to {most} frames", {"window": str(window), "most": _WIDEST_WINDOW}
        )
    return options


CURES = ("colour", "shimmer", "background")  # of flicker, in the order in which they are done


def _known_cures(names: tuple[str, ...]) -> tuple[str, ...]:
    if unknown := [name for name in names if name not in CURES]:
        context = {"expected": f"some of {', '.join(CURES)}, or none", "fix": None}
        raise PydanticCustomError("cure", "no such cure of flicker: {name}", {**context, "name": unknown[0]})
    return names


def _ascending(interval: tuple[float, float]) -> tuple[float, float]:
    low, high = interval
    if not 0 <= low < high <= 1:
        context = {"expected": "two shares of the time steps, 0 <= from < to <= 1, e.g. 0.2 and 0.8", "fix": None}
        raise PydanticCustomError("interval", "no interval", context)
    return interval


class Section(BaseModel):
    """Base of all recipe sections: frozen; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


_Kind = TypeVar("_Kind", bound=Section)


class CanvasSettings(Section):
    """The size the model works at, and how a native frame is brought to it and back.

    resample: the filter (signgen/models/canvas.py); area is that of models before 0.3.
    """

    width: int = Field(gt=0, le=8192)
    height: int = Field(gt=0, le=8192)
    fit: Literal["squash", "pad"] = "squash"
    resample: Literal["area", "lanczos"] = "area"


class Component(Section):
    """A network: where its weights come from and, where they come from nowhere, its configuration.

    origin: Hub id, or local folder in Hub layout; None = built from `config` with seeded random weights.
    """

    origin: str | None = None
    revision: str | None = None
    subfolder: str | None = None
    config: Annotated[dict[str, Any], AfterValidator(_of_a_size)] = {}


class ImageSpaceSettings(Component):
    """Where diffusion happens: a VAE's latents, or pixels rearranged into channels (no weights)."""

    kind: Literal["vae", "pixel-unshuffle"]
    factor: int = Field(8, ge=1)


class SourceEncoderSettings(Component):
    """DINOv2 on the source image, squashed to `side` x `side`; its last hidden state, CLS included, is the context.

    `enabled: false`: the model has none, as where the context is another's.
    """

    enabled: bool = True
    side: int = 224
    trainable: bool = False


class FusionLossSettings(Section):
    """Source-enhanced InfoNCE."""

    temperature: float = Field(0.07, gt=0)
    l1_weight: float = 1e-4
    mask_duplicates: bool = True
    own_source_negative: bool = True


class FusionSettings(Section):
    """Stage 1. `enabled: false` is the stage-2-only variant."""

    enabled: bool = True
    tower: Component = Component()
    side: int = 224
    dropout: float = 0.5
    loss: FusionLossSettings = FusionLossSettings()


class ConditionSettings(Section):
    """One condition provider. kind: its name (signgen/models/conditions.py). options: the provider's own sizes."""

    kind: Annotated[str, _one_of(PROVIDERS, "condition")]
    null: Literal["zero", "learned"] = "zero"
    options: Annotated[dict[str, Any], AfterValidator(_of_a_size), AfterValidator(_with_a_window)] = {}

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the features that the provider reads."""
        return PROVIDERS[self.kind].reads


class BranchDropout(Section):
    """Condition dropout: probability, per sample and guidance branch, that its conditions are replaced by their nulls.

    The branches are dropped independently; `all` is one more coin that drops all of them, the state that guidance
    starts from and that independent coins leave rare (.2 cubed is .008).
    """

    pose: float = Field(0.2, ge=0, lt=1)
    source: float = Field(0.2, ge=0, lt=1)
    fusion: float = Field(0.2, ge=0, lt=1)
    all: float = Field(0.0, ge=0, lt=1)


class RegionWeights(Section):
    """Weight of the loss inside the target's hand and face boxes, relative to 1 elsewhere (normalised to mean 1)."""

    hands: float = Field(1.0, gt=0)
    face: float = Field(1.0, gt=0)


class CopySettings(Section):
    """What of the sample is copied from the source instead of drawn, learned with the rest (models/compositing.py).

    layers: how many moved copies of the source, each with a learned appearance flow, are mixed into the prediction.
    reach: the displacement, in canvas pixels, for a flow output of 1; 0: copies stay where they are.
    warp: the part warp, as it is, is one more picture of the mixture.
    The share of each picture is learned for every pixel; all shares, the prediction's too, sum to 1.
    """

    layers: int = Field(0, ge=0)
    reach: float = Field(0.0, ge=0)
    warp: bool = False


class AlignmentLosses(Section):
    """Weights of the losses that teach the flow of the condition aligned_tokens (training/alignment_losses.py), beside
    what the diffusion loss says of it; all 0: none of them.

    photometric: the source, warped, is to look like the target where it is visible. hidden: what a place costs that is
    said not to be visible, a mean absolute difference of images in [-1, 1]: places whose difference is larger are best
    hidden. matching: the first correlation at the target's keypoints and bones is to be highest where the source's are;
    without it the flow takes many times as long to begin. keypoints: the flow there is to point to the source's.
    smoothness: total variation of the flow.
    """

    photometric: float = Field(0.0, ge=0)
    hidden: float = Field(0.15, gt=0)
    matching: float = Field(0.0, ge=0)
    keypoints: float = Field(0.0, ge=0)
    smoothness: float = Field(0.0, ge=0)

    @property
    def reads_keypoints(self) -> bool:
        """Whether one of them is of keypoints."""
        return bool(self.matching or self.keypoints)

    @property
    def active(self) -> bool:
        """Whether any of them is computed."""
        return bool(self.photometric or self.matching or self.keypoints or self.smoothness)


class PosePenalty(Section):
    """RePoseDM's pose interaction field in training: weight alpha_bar_t G(Dec(x_0)) is added to the loss, with G of
    models/pose_field.py by the pose network at `network` (whose joints `joints` says where the file does not), at time
    steps below a share `below` of all.

    literal: for study, what the paper writes (eq. 3, 18): G's gradient, detached, is added to the prediction inside of
    the loss; the network then learns to take it away again.
    """

    weight: float = Field(0.0, ge=0)
    network: str | None = None
    joints: str | None = None
    below: float = Field(0.3, gt=0, le=1)
    literal: bool = False

    @model_validator(mode="after")
    def _has_a_network(self) -> PosePenalty:
        if self.weight and self.network is None:
            raise ValueError("pose_penalty needs a network: what `signgen train-posenet` wrote")
        return self


class DiffusionSettings(Section):
    """Stage 2's forward process and loss. The prediction type is the scheduler configuration's.

    timestep_spacing: how a solver's steps are spread over the time steps, over what a loaded scheduler says; trailing
    begins with the last one, pure noise, which a model is trained to begin with. None: the scheduler configuration's.
    timestep_power p: t = T (1 - u^p), u uniform in (0, 1); 1 is uniform, more puts t nearer to pure noise.
    noise_offset: standard deviation of one further noise per sample and channel, the same at every pixel.
    min_snr_gamma: Min-SNR loss weighting (Hang et al. 2023); None: every time step has weight 1.
    base: what the prediction is a residual to. base_std: the residual is scaled to this standard deviation.
    copies: see CopySettings; it needs a scheduler that predicts the sample itself.
    variance_weight: of L_vlb beside the simple loss (Nichol & Dhariwal 2021, L_hybrid: .001); the network then has
    twice the outputs and learns the variance of its steps (models/variance.py). 0: the variance is the scheduler's.
    alignment: see AlignmentLosses. pose_penalty: see PosePenalty.
    """

    scheduler: Component = Component()
    timestep_spacing: Literal["leading", "trailing", "linspace"] | None = None
    timestep_power: float = Field(1.0, gt=0)
    noise_offset: float = Field(0.0, ge=0)
    min_snr_gamma: float | None = None
    base: Literal["none", "source", "warp"] = "none"
    base_std: float = Field(0.5, gt=0)
    copies: CopySettings = CopySettings()
    variance_weight: float = Field(0.0, ge=0)
    alignment: AlignmentLosses = AlignmentLosses()
    pose_penalty: PosePenalty = PosePenalty()
    condition_dropout: BranchDropout = BranchDropout()
    region_weights: RegionWeights = RegionWeights()

    @property
    def learned_variance(self) -> bool:
        """Whether the network has outputs for it."""
        return self.variance_weight > 0


class Moves(Section):
    """How images and their keypoints are moved together.

    shift (canvas pixels), scale (relative), rotate (degrees): largest random move, the same for all images of a sample.
    mirror: probability that all of them are mirrored, poses with them. The person then signs with the other hand, which
    is wrong as language but right as a picture of these poses.
    """

    shift: float = Field(0.0, ge=0)
    scale: float = Field(0.0, ge=0, lt=1)
    rotate: float = Field(0.0, ge=0)
    mirror: float = Field(0.0, ge=0, le=1)


class Augmentation(Moves):
    """Augmentation of a training triple, beside its moves.

    pose_jitter: standard deviation, in canvas pixels, of noise added to the target keypoints.
    pose_variants: how many different jitters a frame's pose has, so that stage 1's embedding of them can be computed
    once (training.feature_cache); 0: another one each time.
    first_source: probability that the clip's first frame, from which clips are rendered, replaces the triple's source.
    references: probability that a triple's part warp takes body and hands from the nearest of the clip's other training
    frames, as `render --references` does; else it takes them from the source alone.
    identity: probability that source and target are one frame, either's, one as often as the other (FPDM's code: .05).
    half_source: probability that the source has half the resolution, shown at the same size (FPDM's code: .5).
    unknown_source_pose: probability that the source's pose counts as not known: it is not shown, and parts stay where
    they are. unmoved_parts: probability that they do though it is known, as where no shoulders are seen. `render` meets
    both.
    """

    pose_jitter: float = Field(0.0, ge=0)
    pose_variants: int = Field(0, ge=0, le=64)
    first_source: float = Field(0.0, ge=0, le=1)
    references: float = Field(0.0, ge=0, le=1)
    identity: float = Field(0.0, ge=0, le=1)
    half_source: float = Field(0.0, ge=0, le=1)
    unknown_source_pose: float = Field(0.0, ge=0, lt=1)
    unmoved_parts: float = Field(0.0, ge=0, lt=1)


class StageSettings(Section):
    """The training of one stage. share: its part of --max-minutes. steps: optimiser steps.

    batch_size: samples per micro-batch of all processes together; a step has `accumulation` micro-batches. Stage 1
    compares the samples of a micro-batch with each other: there its size is part of the objective.
    warmup: steps of linear warm-up. decay: of the learning rate after it, to 0 at the last step.
    clip_norm: largest norm of all gradients together. validations: how often the stage is validated, evenly spread.
    ema: the largest decay of the moving average of the weights; None: the last weights are kept.
    ema_power: after n steps the decay is at most 1 - (n + 1)^-ema_power, so that the average spans the last
    n^ema_power steps (diffusers' EMAModel; 1 is the mean of all steps).
    What saves memory (`train --fit` chooses): ema_on_cpu: the average is kept in the CPU's memory. optimizer: adamw8bit
    keeps Adam's moments in 8 bits (bitsandbytes). gradient_checkpointing: activations are computed once more in the
    backward pass. frozen_on_cpu: frozen networks whose features are kept are on the device for validation alone.
    """

    steps: int = Field(gt=0)
    batch_size: int = Field(gt=0)
    accumulation: int = Field(1, gt=0, le=1024)
    share: float = Field(0.5, gt=0, le=1)
    learning_rate: float = Field(gt=0)
    warmup: int = Field(30, ge=0)
    decay: Literal["cosine", "linear", "constant"] = "cosine"
    weight_decay: float = 1e-2
    clip_norm: float = Field(1.0, gt=0)
    ema: float | None = Field(None, gt=0, lt=1)
    ema_power: float = Field(2 / 3, gt=0, le=1)
    ema_on_cpu: bool = False
    optimizer: Literal["adamw", "adamw8bit"] = "adamw"
    gradient_checkpointing: bool = False
    frozen_on_cpu: bool = False
    augmentation: Augmentation = Augmentation()
    validations: int = Field(4, gt=0)


class TrainingSettings(Section):
    """Both stages. precision: autocast of both; weights stay float32. workers: loader processes (0: none).

    save_every: seconds between two savings of the state. checkpoints: how many states of a stage are kept.
    feature_cache: whether what stage 2's frozen networks make of a frame is computed once and kept beside the pair set
    (signgen/training/features.py); nothing is where augmentation changes pixels.
    compile: torch.compile of the networks that are trained. wandb: a project of Weights & Biases, for logs beside those
    of TensorBoard. keep_best: a score of stage 2's validation; the model that had the best one is RUN/best.
    """

    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    workers: int = Field(0, ge=0, le=1024)
    save_every: float = Field(300.0, ge=0)
    checkpoints: int = Field(2, ge=1)
    feature_cache: bool = True
    compile: bool = False
    wandb: str | None = None
    keep_best: Literal["ssim", "psnr", "hand_ssim", "face_ssim"] | None = None
    fusion: StageSettings
    diffusion: StageSettings


class SamplingSettings(Section):
    """How a clip is sampled: the recipe's defaults, which `signgen render` can override; passed as a whole.

    solver: a name of signgen/solvers.py. steps: its number of steps, one call of the UNet each.
    w_c, w_f: guidance weights of (pose, source) and of the fusion embedding (models/guidance.py).
    micro_batch: frames computed together, padded to this number: part of what makes pixels reproducible.
    precision: autocast of the renderer.
    noise_scale: standard deviation of the noise that sampling starts from; 1 is what the model is trained for, 0 starts
    from its mean, which suits a model that has too little data to predict more than the mean.
    shared_noise: how much of that noise the frames of a clip have in common (models/noise.py): 1 all, 0 none.
    strength: 1 samples from noise alone. Less: from the source in the image space, noised as at that share of the time
    steps; the steps before are left out (SDEdit, Meng et al. 2022).
    fill: on a GPU, micro-batches as large as its free memory allows, in place of micro_batch; pixels may then differ in
    their last bits from one machine to another. compile: torch.compile of the denoiser.
    steady: cures of flicker (rendering/steady.py).
    backend: what runs the denoiser on a CPU (models/backends): torch, or an export of the model.
    pose_guidance: scale of the pose interaction field's guidance (models/pose_field.py), 0 none, by the pose network in
    the folder or file pose_network, whose joints pose_joints says where the file does not. pose_mode: through the clean
    estimate, the denoiser too, or the paper's own factor. pose_interval: the time steps in which it is computed, as
    guidance_interval; pose_every: only in every so many of them; pose_clip: the largest root mean square of what it
    takes from a sample's clean estimate, 0 any.
    guidance_interval: the time steps in which guidance is computed, as shares of all of them: 0 is the picture, 1 pure
    noise. Outside, the guided branch is taken alone (Kynkaanniemi et al. 2024).
    """

    solver: Annotated[str, _one_of(SOLVERS, "solver")] = "unipc"
    steps: int = Field(20, gt=0)
    noise_scale: float = Field(1.0, ge=0, le=1)
    w_c: float = 2.0
    w_f: float = 2.0
    micro_batch: int = Field(8, gt=0)
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    shared_noise: float = Field(1.0, ge=0, le=1)
    strength: float = Field(1.0, gt=0, le=1)
    fill: bool = False
    compile: bool = False
    steady: Annotated[tuple[str, ...], AfterValidator(_known_cures)] = ()
    backend: Literal["torch", "openvino", "onnx"] = "torch"
    guidance_interval: Annotated[tuple[float, float], AfterValidator(_ascending)] = (0.0, 1.0)
    pose_guidance: float = Field(0.0, ge=0)
    pose_network: str | None = None
    pose_joints: str | None = None
    pose_mode: Literal["cheap", "full", "literal"] = "cheap"
    pose_interval: Annotated[tuple[float, float], AfterValidator(_ascending)] = (0.0, 0.5)
    pose_every: int = Field(1, gt=0)
    pose_clip: float = Field(0.1, ge=0)


class Recipe(Section):
    """A complete recipe; see configs/nano.yaml."""

    name: str
    seed: int = 0
    licence: str = ""
    palette: str
    canvas: CanvasSettings
    image_space: ImageSpaceSettings
    source_encoder: SourceEncoderSettings
    fusion: FusionSettings
    conditions: tuple[ConditionSettings, ...]
    unet: Component
    diffusion: DiffusionSettings
    training: TrainingSettings
    sampling: SamplingSettings

    @model_validator(mode="after")
    def _fits_together(self) -> Recipe:
        kinds = [condition.kind for condition in self.conditions]
        if len(set(kinds)) != len(kinds):
            raise ValueError(f"conditions {kinds} repeat a kind")
        if not self.part_warp and (self.diffusion.base == "warp" or self.diffusion.copies.warp):
            raise ValueError("diffusion.base: warp and copies.warp need the condition part_warp")
        if not self.part_warp and self.training.diffusion.augmentation.references:
            raise ValueError("training.diffusion.augmentation.references needs the condition part_warp")
        if self.training.fusion.augmentation.references:
            raise ValueError("training.fusion.augmentation.references: stage 1 sees no part warp")
        if self.diffusion.alignment.active and not self.alignment:
            raise ValueError("diffusion.alignment needs the condition aligned_tokens")
        if self.source_encoder.enabled is False and any("source_tokens" in c.reads for c in self.active_conditions):
            raise ValueError("source_encoder.enabled: false, but a condition reads source_tokens")
        for side in (self.canvas.width, self.canvas.height):
            if side % self.image_space.factor:
                raise ValueError(f"canvas side {side} is no multiple of image_space.factor {self.image_space.factor}")
        return self

    @property
    def active_conditions(self) -> tuple[ConditionSettings, ...]:
        """The providers in use: without stage 1, those that read its embedding are left out."""
        return tuple(c for c in self.conditions if self.fusion.enabled or "fusion" not in c.reads)

    @property
    def part_warp(self) -> bool:
        """Whether the model is given the source's parts moved to the target's keypoints."""
        return any("part_warp" in c.reads for c in self.active_conditions)

    @property
    def pose_window(self) -> int:
        """How many frames before and after a target have their poses shown too."""
        return next((c.options.get("window", 0) for c in self.active_conditions if c.kind == "pose_map"), 0)

    @property
    def keypoints(self) -> bool:
        """Whether a loss reads the keypoints themselves."""
        return bool(self.diffusion.alignment.reads_keypoints or self.diffusion.pose_penalty.weight)

    @property
    def alignment(self) -> bool:
        """Whether the source is aligned to the target's pose."""
        return any("alignment" in PROVIDERS[c.kind].gives for c in self.active_conditions)

    def to_yaml(self) -> str:
        """The recipe as YAML, complete."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def recipes_folder() -> Path:
    """Where the shipped recipes are: package data in an installed wheel, `configs/` in a checkout."""
    packaged = Path(str(resources.files("signgen"))) / "configs"
    return packaged if packaged.is_dir() else packaged.parents[1] / "configs"


def load_recipe(name_or_path: str, overrides: tuple[str, ...] = ()) -> Recipe:
    """Load a recipe by shipped name (`nano`) or by path, then apply `a.b=c` overrides. Raises RecipeError.

    A recipe that `extends` another, by name or by path from its own folder, is that one with its own values over it:
    mappings are merged, lists and everything else replaced.
    """
    return load_section(Recipe, recipes_folder(), name_or_path, overrides)


def load_section(kind: type[_Kind], shipped: Path, name_or_path: str, overrides: tuple[str, ...] = ()) -> _Kind:
    """A recipe of another kind, which is checked as `load_recipe` does. shipped: the folder of those with names."""
    values = _recipe_values(_recipe_path(name_or_path, Path(), shipped), shipped)
    for override in overrides:
        _apply_override(values, override)
    return parse_section(kind, values, f"{name_or_path} with --set" if overrides else name_or_path)


def changed_recipe(recipe: Recipe, overrides: tuple[str, ...], where: str) -> Recipe:
    """The recipe with `a.b=c` overrides. where: whose it is, for messages. Raises RecipeError."""
    values = recipe.model_dump(mode="json")
    for override in overrides:
        _apply_override(values, override)
    return parse_recipe(values, f"{where} with --set" if overrides else where)


def _recipe_path(name_or_path: str, folder: Path, shipped: Path) -> Path:
    path = Path(name_or_path)
    if path.suffix in {".yaml", ".yml"}:
        return folder / path
    names = sorted(p.stem for p in shipped.glob("*.yaml"))
    if name_or_path not in names:
        close = nearest(name_or_path, names)
        raise RecipeError(
            f"no recipe named {name_or_path!r}",
            expected=f"a .yaml file or one of {', '.join(names)}",
            fix=f"did you mean {close}?" if close else None,
        )
    return shipped / f"{name_or_path}.yaml"


def _recipe_values(path: Path, shipped: Path, extended_by: tuple[Path, ...] = ()) -> dict[str, Any]:
    if path.resolve() in extended_by:
        raise RecipeError(f"{path}: extends itself")
    try:
        values = read_yaml(path)
    except (OSError, ValueError) as error:
        raise RecipeError(f"{path}: cannot be read as a recipe ({error})") from error
    if not isinstance(values, dict):
        raise RecipeError(f"{path}: holds a {type(values).__name__}", expected="a YAML mapping, see configs/nano.yaml")
    base = values.pop("extends", None)
    if base is None:
        return values
    if not isinstance(base, str):
        raise RecipeError(f"{path}: extends: {base!r}", expected="the name or the path of a recipe")
    return _merged(
        _recipe_values(_recipe_path(base, path.parent, shipped), shipped, (*extended_by, path.resolve())), values
    )


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    both = {key: _merged(below[key], value) for key, value in above.items() if _mappings(below.get(key), value)}
    return {**below, **above, **both}


def _mappings(*values: Any) -> bool:
    return all(isinstance(value, dict) for value in values)


def parse_recipe(values: dict[str, Any], where: str) -> Recipe:
    """Validate `values`; the first problem is named with its full key and, for a misspelt key, the nearest one."""
    return parse_section(Recipe, values, where)


def parse_section(kind: type[_Kind], values: dict[str, Any], where: str) -> _Kind:
    """As `parse_recipe`, for a recipe of another kind."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            close = nearest(str(first["loc"][-1]), _keys_at(kind, first["loc"][:-1]))
            hint = f"did you mean {close}?" if close else None
            raise RecipeError(f"{where}: unknown key {key}", fix=hint) from None
        table = first.get("ctx", {}) if first["type"] == "not_in_table" else {}
        raise RecipeError(
            f"{where}: {key or 'recipe'}: {first['msg']} (found {_short(first['input'])})",
            expected=table.get("expected"),
            fix=table.get("fix"),
        ) from None


def _apply_override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise RecipeError(f"--set {override!r}", expected="a.b=c, e.g. training.diffusion.steps=500")
    *parents, last = key.split(".")
    here: Any = values
    for part in parents:
        try:
            here = here[int(part)] if isinstance(here, list) else here.setdefault(part, {})
        except (ValueError, IndexError, AttributeError):
            raise RecipeError(f"--set {override!r}: there is no {part!r} to set a value in") from None
    try:
        value = parse_yaml(text)
        if isinstance(here, list):
            here[int(last)] = value
        else:
            here[last] = value
    except (ValueError, IndexError, TypeError) as error:
        raise RecipeError(f"--set {override!r}: cannot be applied ({error})") from None


def _keys_at(kind: type[Section], location: tuple[int | str, ...]) -> list[str]:
    """The keys a recipe of this kind may have at `location`."""
    model: Any = kind
    for part in location:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation
        arguments = [a for a in getattr(annotation, "__args__", ()) if isinstance(a, type)]
        model = arguments[0] if arguments else annotation
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
