"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

import signgen  # noqa: F401  first, so that torchvision imports over a CPU-only torch

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def testdata() -> Path:
    """Real clips and keypoints beside the checkout; they are never part of the tree, so a clone alone skips."""
    folder = ROOT.parent / "shared" / "testdata"
    if not folder.is_dir():
        pytest.skip(f"real test data not found at {folder}")
    return folder
