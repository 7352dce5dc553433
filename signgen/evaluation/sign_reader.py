"""A reader who needs no people: pictures of one sign of the drawn lexicon in, the word that it reads out.

Two small networks look at the same FRAMES frames, evenly spread over the sign: one at the upper body with its hands,
one at the crops of both hands alone. Each is a few convolutions on every frame and a GRU over them. They are trained on
drawn people who do not exist, one for every sentence, and never see the people that they are to read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from signgen.errors import WeightsError
from signgen.files import atomic_path, parse_json
from signgen.metrics.clip.presets import crop_square
from signgen.metrics.definitions import BOX_MARGIN
from signgen.poses.parts import part_boxes, visible
from signgen.poses.skeletons import COCO_WHOLEBODY_133 as LAYOUT
from signgen.progress import SILENT, Progress
from signgen.synthetic.clip import render_frames
from signgen.synthetic.identity import Identity
from signgen.synthetic.lexicon import lexicon
from signgen.synthetic.motion import Motion, Signed

View = Literal["body", "hands"]
VIEWS: tuple[View, ...] = ("body", "hands")
FRAMES = 8  # of a sign
BODY_SIDE, HAND_SIDE = 64, 32  # px that the networks are shown
_SHOWN: dict[View, tuple[int, int]] = {"body": (1, BODY_SIDE), "hands": (2, HAND_SIDE)}  # pictures a frame, their side
_REACH = 2.6  # shoulder widths: the side of the square around the upper body
_BELOW = 0.1  # shoulder widths from the middle of the shoulders down to that of the square
_LENGTH = 100  # frames of a sentence that the reader learns from
_CHANNELS = (16, 32, 64)
_SEEN, _REMEMBERED = 96, 128  # numbers for a picture, and of the GRU
_BATCH, _RATE, _MISSING = 32, 2e-3, 0.03
_OF_READER = 0x5EAD << 32  # seeds of its people and sentences: no corpus's are as large


@dataclass(frozen=True)
class ReaderSettings:
    """sentences: that are drawn for training, each by another person; held_out: further ones that test the reader.
    epochs: over the signs of all sentences. processes: that draw."""

    sentences: int = 320
    held_out: int = 40
    epochs: int = 24
    seed: int = 0
    processes: int = 1


@dataclass(frozen=True)
class SignPictures:
    """One sign as the reader is shown it. body: uint8 (FRAMES, BODY_SIDE, BODY_SIDE, 3). hands: uint8 (FRAMES, 2,
    HAND_SIDE, HAND_SIDE, 3), left and right, black where the keypoints have none."""

    body: np.ndarray
    hands: np.ndarray


def sampled(sign: Signed) -> list[int]:
    """The numbers of the FRAMES frames that stand for a sign; of a short one some are repeated."""
    return np.linspace(sign.start, sign.stop - 1, FRAMES).round().astype(int).tolist()


def sign_pictures(frames: np.ndarray, keypoints: np.ndarray) -> SignPictures:
    """frames: uint8 (FRAMES, H, W, 3). keypoints: (FRAMES, 133, 3) px, which say where body and hands should be; both
    shoulders are there in one of them at least."""
    square = _body_square(keypoints)
    bodies = [_resized(_cut(frame, square), BODY_SIDE) for frame in frames]
    hands = [_hands(frame, points) for frame, points in zip(frames, keypoints, strict=True)]
    return SignPictures(np.stack(bodies), np.stack(hands))


def _body_square(keypoints: np.ndarray) -> tuple[int, int, int, int]:
    """The same in all frames of a sign; it may reach beyond the picture."""
    shoulders = keypoints[:, [LAYOUT.left_shoulder, LAYOUT.right_shoulder]]
    known = shoulders[visible(shoulders).all(1)]
    width = float(np.median(np.linalg.norm(known[:, 0, :2] - known[:, 1, :2], axis=-1)))
    x, y = np.median(known[..., :2].mean(1), axis=0) + np.array([0, _BELOW * width])
    side = max(round(_REACH * width), 2)
    left, top = round(x - side / 2), round(y - side / 2)
    return left, top, left + side, top + side


def _cut(frame: np.ndarray, square: tuple[int, int, int, int]) -> np.ndarray:
    """The square of a picture, which is continued by its edges."""
    x0, y0, x1, y1 = square
    height, width = frame.shape[:2]
    columns, rows = np.clip(np.arange(x0, x1), 0, width - 1), np.clip(np.arange(y0, y1), 0, height - 1)
    return frame[rows[:, None], columns]


def _resized(picture: np.ndarray, side: int) -> np.ndarray:
    rule = cv2.INTER_AREA if picture.shape[0] > side else cv2.INTER_LINEAR
    return cv2.resize(picture, (side, side), interpolation=rule)


def _hands(frame: np.ndarray, points: np.ndarray) -> np.ndarray:
    """uint8 (2, HAND_SIDE, HAND_SIDE, 3)."""
    height, width = frame.shape[:2]
    boxes = part_boxes(points, width, height, margin=BOX_MARGIN)
    crops = np.zeros((2, HAND_SIDE, HAND_SIDE, 3), np.uint8)
    for index, name in enumerate(("left_hand", "right_hand")):
        if (box := boxes[name]) is not None:
            x0, y0, x1, y1 = crop_square(box, width, height)
            crops[index] = _resized(frame[y0:y1, x0:x1], HAND_SIDE)
    return crops


def words() -> list[str]:
    """What can be read, in the order of the networks' outputs."""
    return [sign.word for sign in lexicon()]


class SignNetwork(nn.Module):
    """uint8 (B, FRAMES, V, side, side, 3), V pictures a frame, to logits (B, words)."""

    def __init__(self, pictures: int, side: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for wider in _CHANNELS:
            layers += [nn.Conv2d(channels, wider, 3, 2, 1), nn.GroupNorm(4, wider), nn.ReLU()]
            channels, side = wider, (side + 1) // 2
        self.look = nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * side * side, _SEEN), nn.ReLU())
        self.over_time = nn.GRU(_SEEN * pictures, _REMEMBERED, batch_first=True)
        self.dropout = nn.Dropout(0.3)
        self.read = nn.Linear(2 * _REMEMBERED, len(words()))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        batch, frames = pictures.shape[:2]
        scaled = pictures.flatten(0, 2).permute(0, 3, 1, 2).float() / 255 - 0.5
        seen = self.look(scaled).view(batch, frames, -1)
        states, _ = self.over_time(seen)
        return self.read(self.dropout(torch.cat([states[:, -1], states.mean(1)], 1)))


@dataclass(frozen=True)
class SignReader:
    """networks: by view. tested: view -> how many of `signs` signs of people that it never saw it reads right."""

    networks: dict[View, SignNetwork]
    tested: dict[View, int]
    signs: int
    settings: ReaderSettings

    def read(self, signs: Sequence[SignPictures], view: View) -> list[str]:
        """The words that it takes them for."""
        names = words()
        with torch.inference_mode():
            batches = [_batch(signs[start : start + _BATCH], view) for start in range(0, len(signs), _BATCH)]
            return [names[index] for batch in batches for index in self.networks[view](batch).argmax(1).tolist()]


def train_reader(settings: ReaderSettings | None = None, progress: Progress = SILENT) -> SignReader:
    """Draw people and sentences, train both networks, and test them on people and sentences that they never saw.

    The same settings give the same reader on one machine and thread count. It takes minutes.
    """
    chosen = settings or ReaderSettings()
    count = chosen.sentences + chosen.held_out
    drawn = list(progress.track(_drawn(chosen, count), "drawing signs to learn", count))
    learned = [pair for sentence in drawn[: chosen.sentences] for pair in sentence]
    others = [pair for sentence in drawn[chosen.sentences :] for pair in sentence]
    networks = {view: _trained(learned, view, chosen, progress) for view in VIEWS}
    reader = SignReader(networks, {}, len(others), chosen)
    pictures = [shown for _, shown in others]
    for view in VIEWS:
        read = reader.read(pictures, view)
        reader.tested[view] = sum(one == word for one, (word, _) in zip(read, others, strict=True))
    return reader


def _drawn(settings: ReaderSettings, count: int) -> Iterator[list[tuple[str, SignPictures]]]:
    """The signs of each sentence, in order; several processes draw."""
    seeds = range(_OF_READER + settings.seed * 100_000, _OF_READER + settings.seed * 100_000 + count)
    if settings.processes <= 1:
        yield from map(draw_sentence, seeds)
        return
    with ProcessPoolExecutor(settings.processes, get_context("spawn"), cv2.setNumThreads, (1,)) as pool:
        yield from pool.map(draw_sentence, seeds, chunksize=8)


def draw_sentence(seed: int) -> list[tuple[str, SignPictures]]:
    """Each sign of a sentence and its pictures, by a person whom no other sentence shows."""
    who, motion = Identity.random(seed, "reader"), Motion.random(seed, _LENGTH)
    return [(sign.word, sign_pictures(*render_frames(who, motion, sampled(sign)))) for sign in motion.signed]


def _batch(signs: Sequence[SignPictures], view: View) -> torch.Tensor:
    """uint8 (B, FRAMES, V, side, side, 3)."""
    shown = np.stack([sign.body[:, None] if view == "body" else sign.hands for sign in signs])
    return torch.from_numpy(shown)


def _trained(
    signs: Sequence[tuple[str, SignPictures]], view: View, settings: ReaderSettings, progress: Progress
) -> SignNetwork:
    """A network of one view; seeded, the state of torch's generators outside is not touched."""
    names = words()
    labels = torch.tensor([names.index(word) for word, _ in signs])
    pictures = _batch([shown for _, shown in signs], view)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = SignNetwork(*_SHOWN[view])
        optimiser = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=1e-2)
        steps = settings.epochs * -(-len(signs) // _BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=max(steps, 2))
        with progress.bar(f"learning to read {view}", settings.epochs) as bar:
            for _ in range(settings.epochs):
                for chosen in torch.randperm(len(signs)).split(_BATCH):
                    logits = network(_changed(pictures[chosen]))
                    loss = nn.functional.cross_entropy(logits, labels[chosen], label_smoothing=0.1)
                    optimiser.zero_grad()
                    loss.backward()
                    optimiser.step()
                    schedule.step()
                bar.advance()
    return network.eval()


def _changed(pictures: torch.Tensor) -> torch.Tensor:
    """Each sign in another light and colour and a little moved; now and then a picture is missing, as hands are.

    float32, the shape of uint8 (B, FRAMES, V, side, side, 3), in 0..255.
    """
    batch, frames, views, side = pictures.shape[:4]
    light = torch.rand(batch, 1, 1, 1, 1, 1) * 0.6 + 0.7
    colour = (torch.rand(batch, 1, 1, 1, 1, 3) - 0.5) * 76
    there = torch.rand(batch, frames, views, 1, 1, 1) > _MISSING
    reach = side // 20
    moved = torch.stack(
        [torch.roll(sign, torch.randint(-reach, reach + 1, (2,)).tolist(), (2, 3)) for sign in pictures]
    )
    return (moved.float() * light + colour).clamp(0, 255) * there


def save_reader(reader: SignReader, path: Path) -> Path:
    """Weights, settings and the test's results as safetensors, atomically."""
    states = {view: network.state_dict() for view, network in reader.networks.items()}
    state = {f"{view}.{name}": value.contiguous() for view, own in states.items() for name, value in own.items()}
    about = {"settings": asdict(reader.settings), "tested": reader.tested, "signs": reader.signs, "words": words()}
    with atomic_path(path) as temporary:
        save_file(state, temporary, {"reader": json.dumps(about)})
    return path


def load_reader(path: Path) -> SignReader:
    """What `save_reader` wrote. Raises WeightsError for anything else."""
    try:
        with safe_open(path, "pt") as file:
            about = parse_json((file.metadata() or {})["reader"])
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if about["words"] != words():
            raise ValueError("another lexicon's")
        networks: dict[View, SignNetwork] = {}
        for view, shape in _SHOWN.items():
            networks[view] = SignNetwork(*shape).eval()
            own = {name.removeprefix(f"{view}."): t for name, t in state.items() if name.startswith(f"{view}.")}
            networks[view].load_state_dict(own)
        tested = {view: int(about["tested"][view]) for view in VIEWS}
        return SignReader(networks, tested, int(about["signs"]), ReaderSettings(**about["settings"]))
    except Exception as error:  # safetensors and torch have errors of their own
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        fix = "leave --reader out: another one is trained"
        raise WeightsError(f"{path}: no sign reader ({reason})", expected="a reader.safetensors", fix=fix) from error
