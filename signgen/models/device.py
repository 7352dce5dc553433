"""Where networks run, and in which precision: a device name, threads and a precision in, what can be used out."""

from __future__ import annotations

import platform

import torch

from signgen.errors import ModelError

MOST_FRAMES = 128  # more of them at once no longer make a frame faster
# Backend of the denoiser -> precisions that it computes in.
PRECISIONS = {"torch": ("fp32", "bf16", "fp16"), "openvino": ("fp32", "bf16"), "onnx": ("fp32",)}


def prepare_device(name: str, threads: int | None = None) -> torch.device:
    """`auto` (CUDA if there is one), `cpu` or `cuda`; sets the CPU threads if given, since they change last bits."""
    if threads:
        torch.set_num_threads(threads)
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ModelError("--device cuda, but torch sees no CUDA device", fix="use --device cpu")
    return torch.device("cuda" if available and name != "cpu" else "cpu")


def usable_precision(precision: str, device: torch.device, backend: str = "torch") -> str:
    """The precision of autocast (fp32, bf16 or fp16) that makes sense on the device, with this backend.

    bf16 on a CPU that has no instructions for it is emulated: a frame of nano took 28 times as long as in fp32 on two
    cores with AVX2, 1.6 times with AVX-512 (benchmarks/precision.py). fp32 is used there.
    """
    if precision not in PRECISIONS[backend]:
        return "fp32"
    return "fp32" if precision == "bf16" and device.type == "cpu" and not fast_bf16() else precision


def precision_note(precision: str, device: torch.device, backend: str = "torch") -> str | None:
    """What a user should know where another precision is used than the one asked for."""
    used = usable_precision(precision, device, backend)
    if used == precision:
        return None
    if precision not in PRECISIONS[backend]:
        return f"{used} in place of {precision}, which --backend {backend} does not compute in"
    return f"{used} in place of {precision}, which this processor only emulates"


def fast_bf16() -> bool:
    """Whether this CPU has instructions for bfloat16: AVX-512 BF16 or AMX; on other architectures, what oneDNN says.

    oneDNN itself says yes to any AVX-512, where it emulates them.
    """
    if platform.machine().lower() in ("x86_64", "amd64", "x86"):
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, RuntimeError):  # a build without oneDNN
        return False


def frames_that_fit(bytes_a_frame: float, free: int, micro_batch: int, most: int = MOST_FRAMES) -> int:
    """Frames to compute at once in `free` bytes of memory, a fifth of it left alone; a multiple of `micro_batch`, which
    is known to fit.

    >>> frames_that_fit(1e9, 60_000_000_000, 16)
    48
    """
    room = int(0.8 * free / max(bytes_a_frame, 1.0))
    return max(micro_batch, min(room, most) // micro_batch * micro_batch)
