"""The renderer: a model, one source frame and a pose sequence in; frames at the source's native size out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
import torch

from signgen.config import SamplingSettings
from signgen.errors import ModelError, OptionError, PoseError
from signgen.models.backends.denoisers import denoiser_of
from signgen.models.canvas import Canvas
from signgen.models.card import ModelCard
from signgen.models.device import frames_that_fit, usable_precision
from signgen.models.heat_maps import PoseNetwork
from signgen.models.image_space import VaeSpace
from signgen.models.noise import ClipNoise
from signgen.models.pipeline import ClipState, SignerPipeline
from signgen.models.pose_guidance import guided_steps
from signgen.models.trial import running
from signgen.pairs.crops import within
from signgen.poses.draw import draw_pose
from signgen.poses.sequence import PoseSequence, window_frames
from signgen.rendering.background import made_ahead
from signgen.rendering.garment import banks_of
from signgen.rendering.guide import named_settings, open_guide
from signgen.rendering.source import Garment, ReferenceClip, Source
from signgen.rendering.steady import Steady
from signgen.rendering.strips import to_uint8
from signgen.video.origin import Origin
from signgen.warp.bank import SourceBank, source_bank
from signgen.warp.compose import part_warp, unmoved
from signgen.warp.references import References

BANKS = 48  # of references, kept at hand
_SHOWN = 16  # hexadecimal digits of a digest
AUTOCAST = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class Renderer:
    """Renders with one model and one set of sampling settings; `sampling` has the precision that is computed in.

    A frame depends on (model, source, its pose and those in the model's window, seed, settings), not on what else is
    rendered with it: everything runs in padded micro-batches of one size, with one noise per clip.
    """

    def __init__(
        self,
        pipeline: SignerPipeline,
        card: ModelCard,
        sampling: SamplingSettings | None = None,
        seed: int = 0,
        device: torch.device | None = None,
    ) -> None:
        recipe = self._recipe = card.parsed_recipe()
        self.pipeline, self.card, self.seed = pipeline, card, seed
        self.device = device or torch.device("cpu")
        self.sampling = _computed(sampling or recipe.sampling, self.device)
        self.palette = card.drawing_palette()
        self.canvas, self.window = Canvas(**recipe.canvas.model_dump()), recipe.pose_window
        self.warps = recipe.part_warp
        for network in pipeline.networks().values():
            network.to(self.device)
        pipeline.unet.to(memory_format=torch.channels_last)
        pipeline.denoise = denoiser_of(pipeline, self.sampling, self.device)
        if self.sampling.compile:
            pipeline.unet.compile()
        self._fills_memory = self.sampling.fill and self.device.type == "cuda"
        self.notes: list[str] = []  # what was decided while rendering
        self.pose_networks = card.pose_networks
        self.guide = open_guide(self.sampling)
        if self.guide is not None:
            self._guided_by(self.guide)
        self.sampling = named_settings(self.sampling, self.guide)

    def _guided_by(self, guide: PoseNetwork) -> None:
        """Let the network guide. Raises OptionError where it would guide no sampling step."""
        sampling = self.sampling
        steps = self.pipeline.solver_of(sampling)[1].tolist()
        if not guided_steps(sampling, steps, self.pipeline.scheduler.config.num_train_timesteps):
            low, high = sampling.pose_interval
            raise OptionError(
                f"--pose-guidance: none of {len(steps)} sampling step(s) lies in --pose-guide-in {low} {high}",
                expected="one that does",
                fix="take more --steps, or a wider --pose-guide-in",
            )
        guide.to(self.device)  # type: ignore[attr-defined]
        self.pipeline.pose_network = guide
        self.pose_networks = (*self.pose_networks, guide.digest)

    def draw(self, poses: PoseSequence) -> np.ndarray:
        """Pose images uint8 (T, H, W, 3) on the canvas. Raises PoseError for another skeleton than the model's."""
        if poses.skeleton != self.card.skeleton:
            raise PoseError(
                f"poses have the skeleton {poses.skeleton}",
                expected=f"{self.card.skeleton}, the model's",
            )
        points = self._points(poses)
        size = (self.canvas.width, self.canvas.height)
        return np.stack([draw_pose(frame, *size, source_size=size, palette=self.palette) for frame in points])

    def draw_windows(self, poses: PoseSequence, frames: Sequence[int]) -> np.ndarray:
        """uint8 (len(frames), H, W, 3 (1 + 2 window)): each frame's pose image, then its neighbours'; a pose is drawn
        once."""
        shown = np.array([window_frames(frame, len(poses), self.window) for frame in frames])
        needed, places = np.unique(shown, return_inverse=True)
        drawn = self.draw(poses.with_points(poses.all_points[needed]))
        return np.concatenate([drawn[column] for column in places.reshape(shown.shape).T], axis=-1)

    def part_warps(self, source: Source, poses: PoseSequence) -> Callable[[Sequence[int]], np.ndarray]:
        """Frames of `poses` -> uint8 (N, H, W, 6): the source's parts moved there, and masks. A source whose pose is
        not known, or shows no shoulders, stays as it is. With references, body and hands come from the nearest."""
        frame = self.canvas.fit_frame(source.frame)
        if source.references is not None:
            return self._referenced_warps(source, source.references, self._points(poses))
        if source.garment is not None and source.pose is not None:
            return self._dressed_warps(source.garment, source.pose, self._points(poses))
        bank = None if source.pose is None else source_bank(frame, self._points(source.pose)[0])
        if bank is None:
            return lambda frames: np.stack([unmoved(frame)] * len(frames))
        return lambda frames: np.stack([part_warp(bank, self._points(poses[n : n + 1])[0]).channels() for n in frames])

    def _referenced_warps(
        self, source: Source, clip: ReferenceClip, points: np.ndarray
    ) -> Callable[[Sequence[int]], np.ndarray]:
        """As `part_warps`. Chosen for the whole sequence at once, so that a part of it is rendered like the whole."""
        known = list(self._points(clip.poses))

        if source.pose is not None:
            known.append(self._points(source.pose)[0])

        @lru_cache(BANKS)
        def bank(number: int) -> SourceBank | None:
            place = clip.first + number
            image = source.frame if number == len(clip.poses) else clip.frames.read(place, place + 1)[0]
            return source_bank(self.canvas.fit_frame(image), known[number])

        references = References(known, bank)
        choices = references.choose(points)
        return lambda part: np.stack([references.warp(points[n], choices[n]).channels() for n in part])

    def _dressed_warps(
        self, garment: Garment, pose: PoseSequence, points: np.ndarray
    ) -> Callable[[Sequence[int]], np.ndarray]:
        """As `part_warps`, trunk and arms from the garment's picture."""
        plain, theirs = self.canvas.fit_frame(garment.plain), self.canvas.fit_frame(garment.frame)
        bank, worn = banks_of(plain, self._points(pose)[0], theirs, self._points(garment.pose)[0])
        return lambda frames: np.stack([part_warp(bank, points[n], worn=worn).channels() for n in frames])

    def _points(self, poses: PoseSequence) -> np.ndarray:
        """(T, K, 3) in canvas pixels."""
        return self.canvas.fit_keypoints(poses.keypoints, poses.width, poses.height)

    def frames(self, source: Source, poses: PoseSequence, part: Sequence[int] | None = None) -> Iterator[np.ndarray]:
        """Rendered frames, uint8 (h, w, 3) at the source's native size, one per pose, as they are ready.

        part: numbers of the frames that are wanted, in their order; the poses beside them are looked at all the same.
        Raises PoseError where the sampling's cures of flicker need a source pose that is not known.
        """
        part = range(len(poses)) if part is None else part
        if (crop := source.crop) is not None:
            place = source.path or crop
            inside = within(poses.resized(crop.frame_width, crop.frame_height), place)
            for number, frame in zip(part, self.frames(source.cropped(), inside, part), strict=True):
                yield place.at(number).paste(frame, source.frame)
            return
        steady = Steady(source, poses, self.sampling)
        if not steady.active:
            yield from self._drawn(source, poses, part)
        elif any(later < earlier for earlier, later in itertools.pairwise(part)):
            for number in part:  # each by itself, since its neighbours are not beside it
                yield from self.frames(source, poses, range(number, number + 1))
        else:
            needed = steady.needed(part, len(poses))
            yield from steady.frames(self._drawn(source, poses, needed), needed, part)

    def _drawn(self, source: Source, poses: PoseSequence, part: Sequence[int]) -> Iterator[np.ndarray]:
        """The frames of `part` as the model draws them."""
        # the clip's constants, computed once
        height, width = source.frame.shape[:2]
        image = self._tensor(self.canvas.fit_frame(source.frame)[None]) * 2 - 1
        source_pose = self._tensor(self.draw(source.pose)) if source.pose is not None else None
        sampling = self.sampling
        with self._running():
            clip = self.pipeline.encode_clip(image, source_pose)
        noise = ClipNoise(self.seed, source.name, sampling.noise_scale, sampling.shared_noise)
        # micro-batches of one fixed size; poses are drawn and parts moved one batch ahead
        warped = self.part_warps(source, poses) if self.warps else None

        def pictures(batch: Sequence[int]) -> tuple[np.ndarray, np.ndarray | None]:
            return self.draw_windows(poses, batch), None if warped is None else warped(batch)

        points = torch.from_numpy(self._points(poses)).to(self.device) if self.guide is not None else None
        if self._fills_memory and len(part):
            first, moved = pictures(part[: sampling.micro_batch])
            placed = None if points is None else points[list(part[: sampling.micro_batch])]
            self._fill_memory(clip, self._tensor(first), None if moved is None else self._tensor(moved), placed)
        size = self.sampling.micro_batch
        batches = [part[start : start + size] for start in range(0, len(part), size)]
        for batch, (drawn, moved) in made_ahead(pictures, batches):
            warps = None if moved is None else self._tensor(moved)
            placed = None if points is None else points[list(batch)]
            for canvas_frame in to_uint8(self._rendered(clip, self._tensor(drawn), warps, noise, batch, placed)):
                yield self.canvas.restore_frame(canvas_frame, width, height)

    def _rendered(
        self,
        clip: ClipState,
        poses: torch.Tensor,
        warps: torch.Tensor | None,
        noise: ClipNoise,
        numbers: Sequence[int],
        points: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Images (B, 3, H, W) of these frames. Where memory runs out, micro-batches are halved from here on.

        Raises ModelError where a single frame does not fit.
        """
        while True:
            try:
                with self._running():
                    made = self.pipeline.render_batches(clip, poses, warps, noise, numbers, self.sampling, points)
                    return torch.cat(list(made))
            except torch.OutOfMemoryError:
                size = self.sampling.micro_batch
            if size == 1:
                raise ModelError(
                    f"out of memory on {self.device} with one frame at once",
                    expected="more free memory, or a smaller canvas",
                    fix="close what else uses it, or use --device cpu",
                )
            self.sampling = self.sampling.model_copy(update={"micro_batch": size // 2})
            self.notes.append(f"out of memory with {size} frames at once; {size // 2} from here on")
            clip.attention.clear()
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def _fill_memory(
        self, clip: ClipState, poses: torch.Tensor, warps: torch.Tensor | None, points: torch.Tensor | None
    ) -> None:
        """On a GPU, choose micro-batches by its free memory, from what one of the recipe's size takes at most."""
        self._fills_memory = False
        before = torch.cuda.memory_allocated(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        size = self.sampling.micro_batch
        self._rendered(clip, poses, warps, ClipNoise(self.seed, ""), range(len(poses)), points)
        if self.sampling.micro_batch < size:  # not even that fitted
            return
        taken = (torch.cuda.max_memory_allocated(self.device) - before) / size
        torch.cuda.empty_cache()
        free, _ = torch.cuda.mem_get_info(self.device)
        found = frames_that_fit(taken, free, size)
        self.sampling = self.sampling.model_copy(update={"micro_batch": found})
        self.notes.append(f"{found} frames at once, by {free / 2**30:.1f} GiB of free memory")

    def origin(self, weights: str, source: str, adapter: str = "") -> Origin:
        """What files of its frames say of their making. weights, adapter: digests, of which the beginning is kept;
        source: the name of what shows the person."""
        return Origin(
            self.pose_networks,
            model=self._recipe.name,
            weights=weights[:_SHOWN],
            adapter=adapter[:_SHOWN],
            seed=self.seed,
            settings=", ".join(f"{name} {value}" for name, value in self.sampling.model_dump().items()),
            source=source,
        )

    @property
    def latent(self) -> bool:
        """Whether frames come from a VAE, which loses something by itself."""
        return isinstance(self.pipeline.space, VaeSpace)

    @torch.no_grad()
    def reconstruct(self, frame: np.ndarray) -> np.ndarray:
        """The frame, uint8 (h, w, 3), through canvas and image space and back: nothing is generated."""
        height, width = frame.shape[:2]
        image = self._tensor(self.canvas.fit_frame(frame)[None]) * 2 - 1
        with self._running():
            found = self.pipeline.space.decode(self.pipeline.space.encode(image))
        return self.canvas.restore_frame(to_uint8(found)[0], width, height)

    def _tensor(self, images: np.ndarray) -> torch.Tensor:
        """uint8 (B, H, W, C) -> float32 (B, C, H, W) in [0, 1] on the device."""
        return torch.from_numpy(images).to(self.device).permute(0, 3, 1, 2).float() / 255

    @contextmanager
    def _running(self) -> Iterator[None]:
        """In the precision that is asked for. Raises ModelError for a model whose networks do not run."""
        dtype = AUTOCAST[self.sampling.precision]
        with (
            running(self.pipeline, self._recipe),
            torch.autocast(self.device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None),
        ):
            yield


def _computed(sampling: SamplingSettings, device: torch.device) -> SamplingSettings:
    """The settings with the precision that the device computes in."""
    precision = usable_precision(sampling.precision, device, sampling.backend)
    return sampling.model_copy(update={"precision": precision})
