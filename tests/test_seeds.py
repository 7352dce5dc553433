"""Keyed random numbers: what version 0.1 drew, and nothing but the key decides it."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from signgen.seeds import key_digest, keyed_generator, keyed_rng


def test_the_digest_is_the_first_64_bits_of_sha256():
    digest = hashlib.sha256(b"7\0diffusion\x000\x0012").digest()
    assert key_digest(7, "diffusion", 0, 12) == int.from_bytes(digest[:8], "little")


def test_generators_draw_the_numbers_of_0_1():
    """The first draws for these keys, written down from version 0.1."""
    assert torch.randn(2, generator=keyed_generator(0, "clip0")).tolist() == pytest.approx(TORCH, abs=1e-7)
    assert keyed_rng(3, "noise", "clip0").random(2).tolist() == pytest.approx(NUMPY, abs=1e-12)


TORCH = [-0.6935135, -0.3256673]
NUMPY = [0.9082201222577512, 0.6802014443608926]


@pytest.mark.parametrize("other", [(1, "a", 2), (0, "a", 3), (0, "a2"), (0, "b", 2)])
def test_another_key_draws_other_numbers(other):
    assert not torch.equal(*(torch.randn(3, generator=keyed_generator(*key)) for key in ((0, "a", 2), other)))
    assert not np.array_equal(*(keyed_rng(*key).random(3) for key in ((0, "a", 2), other)))
    assert keyed_rng(*other).random() == keyed_rng(*other).random()
