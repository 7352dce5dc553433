"""Images made worse: each against a closed form or another library, and nested where levels share their draws."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from signgen.errors import OptionError
from signgen.video.degrade import add_grain, blur, compress, occlude, scale_down

CENTRE = (30.0, 20.0)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def photo() -> np.ndarray:
    smooth = gaussian_filter(rng(7).uniform(0, 255, (80, 120, 3)), (3, 3, 0))
    return np.clip((smooth - 127) * 4 + 127, 20, 235).astype(np.uint8)


def test_grain_has_its_deviation_and_one_field() -> None:
    grey = np.full((80, 120, 3), 128, np.uint8)
    once, twice = (add_grain(grey, sigma, CENTRE, rng()).astype(float) - 128 for sigma in (5, 10))
    assert once.std() == pytest.approx(5, rel=0.03)
    assert np.abs(twice - 2 * once).max() <= 2  # rounded


def test_blur_is_scipys() -> None:
    expected = gaussian_filter(photo().astype(float), (2, 2, 0), mode="mirror", truncate=4)
    assert np.abs(blur(photo(), 2, CENTRE, rng()).astype(float) - expected)[8:-8, 8:-8].max() <= 1.5


def test_jpeg_loses_as_pillows_does_and_has_a_range() -> None:
    def of_pillow(quality: int) -> float:
        buffer = io.BytesIO()
        Image.fromarray(photo()).save(buffer, "JPEG", quality=quality)
        return float(np.abs(np.asarray(Image.open(buffer)).astype(float) - photo()).mean())

    for loss in (25, 90):
        ours = np.abs(compress(photo(), loss, CENTRE, rng()).astype(float) - photo()).mean()
        assert ours == pytest.approx(of_pillow(100 - loss), rel=0.1)
    with pytest.raises(OptionError, match="JPEG of quality 0"):
        compress(photo(), 100, CENTRE, rng())


def test_scaled_down_keeps_the_means_of_blocks() -> None:
    found = scale_down(photo(), 4, CENTRE, rng())
    assert found.shape == photo().shape
    blocks = [x.reshape(20, 4, 30, 4, 3).mean((1, 3)) for x in (photo().astype(float), found.astype(float))]
    assert np.abs(blocks[0] - blocks[1]).mean() < 3
    assert np.abs(np.diff(found.astype(float), axis=1)).mean() < np.abs(np.diff(photo().astype(float), axis=1)).mean()


def test_a_box_hides_its_share_around_its_centre() -> None:
    black = np.zeros((80, 120, 3), np.uint8)
    for share in (10, 20, 40):
        hidden = (occlude(black, share, (60, 40), rng()) == 128).all(2)
        assert hidden.mean() == pytest.approx(share / 100, abs=0.015)
        rows, columns = np.nonzero(hidden)
        assert (rows.min() + rows.max() + 1) / 2 == pytest.approx(40, abs=0.5)
        assert (columns.min() + columns.max() + 1) / 2 == pytest.approx(60, abs=0.5)
    small, large = ((occlude(black, share, CENTRE, rng()) == 128).all(2) for share in (10, 40))
    assert (large & small).sum() == small.sum()
    assert not occlude(black, 0, CENTRE, rng()).any()
