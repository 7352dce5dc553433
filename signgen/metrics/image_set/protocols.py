"""Evaluation protocols by name: which pixels are compared, by which SSIM, LPIPS and FID. A table, and what each does.

`strict` is signgen's own. The others reproduce what a published tool does, its quirks on purpose, so that a number can
be set beside numbers which that tool gave; docs/metrics.md says where they differ and by how much.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from signgen.errors import VideoError, nearest
from signgen.metrics.distribution.inception import Inception
from signgen.metrics.image.lpips import Net
from signgen.metrics.image.pixels import PSNR_CAP, size_text
from signgen.metrics.image.resize import RESIZE_TEXTS, Resize, resize
from signgen.metrics.image.ssim import MS_WEIGHTS, SsimVariant

Size = tuple[int, int]  # width, height
Reference = Literal["train", "test"]
SIZES: tuple[Size, ...] = ((176, 256), (352, 512))  # the two DeepFashion is compared at


@dataclass(frozen=True)
class View:
    """Pixels that a metric is given. pad: width and height of white around the middle.

    resize: None takes the image at the size it has. real: how real images are resized, where that is another rule.
    """

    resize: Resize | None = None
    size: Size | None = None
    pad: Size | None = None
    real: Resize | None = None

    def apply(self, image: np.ndarray, size: Size | None, *, real: bool = False) -> np.ndarray:
        """uint8 (H, W, 3) -> (H', W', 3) in 0..255; float where resizing leaves values between whole numbers.

        size: what it is resized to where the protocol does not say. real: it is a real image, not a generated one.
        """
        target = self.size or size
        rule = (self.real or self.resize) if real else self.resize
        if rule is not None and target is not None:
            image = resize(image, target, rule)
        return image if self.pad is None else _padded(image, self.pad)

    def text(self, size: Size | None) -> str:
        """In words, e.g. `as it is, padded white to 256x256`."""
        target = self.size or size
        steps = []
        if self.resize is not None:
            place = f"{target[0]}x{target[1]}" if target else "the size of the truth"
            real = f"; real images by {RESIZE_TEXTS[self.real]}" if self.real else ""
            steps.append(f"resized to {place} ({RESIZE_TEXTS[self.resize]}{real})")
        if self.pad:
            steps.append(f"padded white to {self.pad[0]}x{self.pad[1]}")
        return ", ".join(steps) or "as it is"


@dataclass(frozen=True)
class LpipsUse:
    """signed: fed [-1, 1], as LPIPS is meant to be, or [0, 1]. batch: a last batch of fewer is dropped, if any is."""

    net: Net
    signed: bool = True
    batch: int | None = None

    def text(self, view: str) -> str:
        """The definition in words."""
        fed = "RGB in [-1, 1]" if self.signed else "RGB in [0, 1], NOT comparable with LPIPS fed [-1, 1]"
        name = {"alex": "AlexNet", "vgg": "VGG-16"}[self.net]
        return f"LPIPS v0.1, {name}, image {view}, {fed}{_dropped(self.batch)}; 0 is identical, lower is better."


@dataclass(frozen=True)
class FidUse:
    """reference: against which real images. signed: see InceptionFeatures. batch: as in LpipsUse."""

    reference: Reference
    inception: Inception
    signed: bool = True
    batch: int | None = None

    def text(self, what: str, view: str) -> str:
        """The definition in words. what: `Frechet distance` or `Kernel distance (...)`."""
        real = {"train": "the train images", "test": "the test targets, each once"}[self.reference]
        fed = (
            "[-1, 1]"
            if self.signed
            else "[0, 1] taken for ImageNet-normalised values (mis-normalised, as the tool does)"
        )
        return (
            f"{what} between the generated images and {real}, {view}: 2048 features of Inception-v3 with "
            f"{self.inception} weights, bilinear to 299x299 without antialias, fed {fed}{_dropped(self.batch)}; one "
            "value of the whole set, lower is better."
        )


@dataclass(frozen=True)
class Protocol:
    """One row of the table. ssims: metric name -> variant. lpips, fid: metric name -> use. kid: likewise.

    sizes: the sizes that `--size` chooses from, the first unless chosen; empty: any, and the truth's own unless chosen.
    natural: the size that images must have, where the tool resizes nothing. lossless: generated JPEG is refused.
    lossy_video: what is generated is one, though lossless is asked for; reported only.
    left_open: what the publication does not say, and how it is read here; each becomes a note of the result.
    """

    name: str
    whose: str
    pixels: View
    features: View
    ssims: Mapping[str, SsimVariant]
    lpips: Mapping[str, LpipsUse]
    fid: Mapping[str, FidUse]
    kid: Mapping[str, FidUse] = field(default_factory=dict)
    ms_ssim: bool = False
    sizes: tuple[Size, ...] = ()
    natural: Size | None = None
    lossless: bool = False
    lossy_video: bool = False
    left_open: tuple[str, ...] = ()

    def size(self, chosen: Size | None) -> Size | None:
        """What images are resized to; None for the truth's own. Raises VideoError for a size the tool has not."""
        if chosen is None:
            return self.sizes[0] if self.sizes else None
        if self.pixels.resize is None or (self.sizes and chosen not in self.sizes):
            known = " or ".join(f"{w}x{h}" for w, h in self.sizes) or "no --size: images are taken as they are"
            raise VideoError(f"--size {chosen[0]}x{chosen[1]} with --protocol {self.name}", expected=known)
        return chosen

    def check(self, image: np.ndarray, name: object) -> None:
        """Raise VideoError for an image of another size than the tool takes."""
        if self.natural is not None and (image.shape[1], image.shape[0]) != self.natural:
            width, height = self.natural
            raise VideoError(
                f"{name}: {size_text(image)}",
                expected=f"{width}x{height}, which --protocol {self.name} takes and does not resize",
                fix="prepare the images as the tool does, or choose another protocol",
            )

    def text(self, size: Size | None) -> str:
        """One line for the head of every metrics file."""
        return (
            f"{self.name} ({self.whose}): 8-bit RGB, {self._storage()}; SSIM, PSNR, L1 on the image "
            f"{self.pixels.text(size)}; LPIPS, FID on the image {self.features.text(size)}; means of per-image values"
        )

    def _storage(self) -> str:
        """What lies between model and score."""
        if self.lossy_video:
            return "a lossy video between model and score, NOT the PNG that is asked for"
        return "PNG, nothing lossy between model and score" if self.lossless else "files as they are"

    def definitions(self, size: Size | None) -> dict[str, str]:
        """Metric -> what its number means, in the order of the report."""
        pixels, features = self.pixels.text(size), self.features.text(size)
        texts = {name: f"Structural similarity, image {pixels}: {v.text}." for name, v in self.ssims.items()}
        if self.ms_ssim:
            texts["ms_ssim"] = (
                f"Multi-scale SSIM, image {pixels}: product over {len(MS_WEIGHTS)} scales of the mean terms to the "
                f"powers {', '.join(map(str, MS_WEIGHTS))}, Gaussian window 11x11, sigma 1.5, data range 255; the "
                "terms are averaged over R, G, B and the pixels whose window lies inside (at the coarsest scale all, "
                "with mirrored borders), and a negative one counts as 0; torchmetrics' with normalize=relu."
            )
        texts["psnr"] = (
            f"In dB, image {pixels}: 10 log10(255^2 / mean squared error over R, G and B), capped at {PSNR_CAP:g} dB; "
            "the mean is over the images' dB values."
        )
        texts["l1"] = f"Mean absolute difference on the 0..1 scale, image {pixels}."
        texts |= {name: use.text(features) for name, use in self.lpips.items()}
        texts |= {name: use.text("Frechet distance", features) for name, use in self.fid.items()}
        kernel = "Kernel distance (unbiased squared MMD, kernel (x.y/2048 + 1)^3, over all images, no subsets)"
        return texts | {name: use.text(kernel, features) for name, use in self.kid.items()}


def protocol_named(name: str) -> Protocol:
    """Raises VideoError for an unknown name, with the nearest known one."""
    if name not in PROTOCOLS:
        meant = nearest(name, list(PROTOCOLS))
        raise VideoError(
            f"no protocol {name!r}", expected="|".join(PROTOCOLS), fix=f"did you mean {meant}?" if meant else None
        )
    return PROTOCOLS[name]


def kept(count: int, batch: int | None) -> int:
    """How many of `count` a tool scores that drops a last batch of fewer; all where they do not fill one."""
    return count if batch is None or count < batch else count - count % batch


def _dropped(batch: int | None) -> str:
    return f", a last batch of fewer than {batch} dropped" if batch else ""


def _padded(image: np.ndarray, size: Size) -> np.ndarray:
    width, height = size
    top, left = (height - image.shape[0]) // 2, (width - image.shape[1]) // 2
    out = np.full((height, width, 3), 255, image.dtype)
    out[top : top + image.shape[0], left : left + image.shape[1]] = image
    return out


_UNIFORM = SsimVariant(51, None, 255.0, sample_covariance=True)
_PREDICTION_15 = SsimVariant(11, 1.5, None)
# scikit-image cuts a Gaussian at 3.5 sigma, which for 1.2 leaves a window of 9.
_PREDICTION_12 = SsimVariant(9, 1.2, None)
_BATCH = 64
_TORCHVISION_TRAIN = FidUse("train", "torchvision", signed=False, batch=_BATCH)


def _dptn(name: str, whose: str, natural: Size, pad: Size | None) -> Protocol:
    """DPTN's metrics.py: white around DeepFashion's images for SSIM, PSNR and L1 alone; LPIPS one image at a time."""
    return Protocol(
        name,
        whose,
        pixels=View(pad=pad),
        features=View(),
        ssims={"ssim_uniform51": _UNIFORM, "ssim_256": _PREDICTION_15},
        lpips={"lpips": LpipsUse("alex")},
        fid={"fid": _TORCHVISION_TRAIN},
        natural=natural,
    )


PROTOCOLS: dict[str, Protocol] = {
    "strict": Protocol(
        "strict",
        "signgen's own",
        pixels=View("pil-bicubic"),
        features=View("pil-bicubic"),
        ssims={"ssim": SsimVariant(11, 1.5)},
        ms_ssim=True,
        lpips={"lpips_alex": LpipsUse("alex"), "lpips_vgg": LpipsUse("vgg")},
        fid={"fid_train": FidUse("train", "pytorch-fid"), "fid_test": FidUse("test", "pytorch-fid")},
        kid={"kid_train": FidUse("train", "pytorch-fid"), "kid_test": FidUse("test", "pytorch-fid")},
        lossless=True,
    ),
    "gfla": Protocol(
        "gfla",
        "GFLA's script/metrics.py",
        pixels=View(),
        features=View(),
        ssims={"ssim_uniform51": _UNIFORM, "ssim_256": _PREDICTION_15},
        lpips={"lpips": LpipsUse("alex", batch=_BATCH)},
        fid={"fid": _TORCHVISION_TRAIN},
    ),
    "dptn": _dptn("dptn", "DPTN's metrics.py", (176, 256), (256, 256)),
    "dptn-market": _dptn("dptn-market", "DPTN's metrics.py, its Market mode", (64, 128), None),
    "pidm": Protocol(
        "pidm",
        "PIDM's metrics.py",
        pixels=View(),
        features=View("cv2-bilinear", (176, 256)),
        ssims={"ssim_uniform51": _UNIFORM, "ssim_256": _PREDICTION_12},
        lpips={"lpips": LpipsUse("alex", batch=_BATCH)},
        fid={"fid": _TORCHVISION_TRAIN},
        natural=(256, 256),
    ),
    "pcdms": Protocol(
        "pcdms",
        "PCDMs' metrics.py",
        pixels=View("cv2-bicubic"),
        features=View("cv2-bicubic"),
        ssims={"ssim_uniform51": _UNIFORM, "ssim_256": _PREDICTION_12},
        lpips={"lpips": LpipsUse("alex", signed=False, batch=_BATCH)},
        fid={"fid": FidUse("train", "torchvision", signed=False, batch=2 * _BATCH)},
        sizes=SIZES,
    ),
    "cfld": Protocol(
        "cfld",
        "CFLD's metrics.py",
        pixels=View("torch-bicubic", real="pil-bicubic"),
        features=View("torch-bicubic", real="pil-bicubic"),
        ssims={"ssim_uniform51": _UNIFORM, "ssim_256": _PREDICTION_15},
        lpips={"lpips": LpipsUse("alex")},
        fid={"fid": FidUse("train", "torchvision", signed=False)},
        sizes=SIZES,
    ),
    "fpdm": Protocol(
        "fpdm",
        "FPDM's metrics.py",
        pixels=View("pil-bicubic"),
        features=View("pil-bicubic"),
        ssims={"ssim_uniform51": _UNIFORM, "ssim_256": _PREDICTION_15},
        lpips={"lpips": LpipsUse("alex", batch=10)},
        fid={"fid": FidUse("test", "torchvision", signed=False)},
        sizes=SIZES,
    ),
    "reposedm": Protocol(
        "reposedm",
        "signgen's reading of the RePoseDM paper, which has no program",
        pixels=View("pil-bicubic"),
        features=View("pil-bicubic"),
        ssims={"ssim_256": _PREDICTION_12, "ssim": SsimVariant(11, 1.5), "ssim_uniform51": _UNIFORM},
        lpips={"lpips": LpipsUse("alex"), "lpips_vgg": LpipsUse("vgg")},
        fid={
            "fid": FidUse("train", "torchvision", signed=False),
            "fid_test": FidUse("test", "torchvision", signed=False),
        },
        sizes=(*SIZES, (64, 128)),
        left_open=(
            "SSIM's window and range are not in the RePoseDM paper: ssim_256 is PIDM's (sigma 1.2, range of the "
            "prediction), ssim has range 255, ssim_uniform51 a window of 51",
            "resizing is not in the RePoseDM paper: output and real images by Pillow's bicubic here",
            "the Inception of FID is not in the RePoseDM paper: torchvision's, fed as PIDM's program feeds it",
            "the real images of FID are not in the RePoseDM paper: fid has the train images, fid_test the test targets",
            "the network of LPIPS is not in the RePoseDM paper: lpips is AlexNet's, lpips_vgg VGG-16's",
            "published figures (--published deepfashion-256x176, deepfashion-512x352, market-128x64) are claims: rules "
            "that are not stated cannot be reproduced, and B1 of the ablation, called PIDM, has not the FID of PIDM",
        ),
    ),
}
