"""Protocols and the scorer of image sets: whose pixels, whole-set values, parts merged, what is not computed."""

from __future__ import annotations

import pickle
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from signgen.errors import SigngenError, VideoError
from signgen.metrics.accumulate import merge_states
from signgen.metrics.distribution.frechet import FeatureFile, FeatureStatistics, frechet_distance, kernel_distance
from signgen.metrics.image.lpips import Lpips, build_network
from signgen.metrics.image.resize import resize
from signgen.metrics.image_set.protocols import PROTOCOLS, kept, protocol_named
from signgen.metrics.image_set.scorer import ImageSetScorer, Networks
from signgen.metrics.results import verdict


def image(seed: int, height: int = 256, width: int = 256) -> np.ndarray:
    """Blobs of colour, uint8."""
    rng = np.random.default_rng(seed)
    return cv2.resize(rng.integers(0, 255, (12, 9, 3), dtype=np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)


def thumbnail(picture: np.ndarray) -> np.ndarray:
    """Stands in for Inception, which takes .15 s an image: means of the four quarters, (12,)."""
    return cv2.resize(picture.astype(np.float32), (2, 2), interpolation=cv2.INTER_AREA).reshape(-1)


@pytest.fixture(scope="module")
def alexnet() -> Lpips:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    return Lpips(build_network())


def scored(name: str, pairs: list[tuple[np.ndarray, np.ndarray]], folder: Path, networks: Networks) -> ImageSetScorer:
    scorer = ImageSetScorer(PROTOCOLS[name], len(pairs), networks, folder)
    for index, (generated, truth) in enumerate(pairs):
        scorer.update(index, generated, truth)
    return scorer


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_scores_and_defines_every_number(name: str, tmp_path: Path, alexnet: Lpips) -> None:
    protocol = PROTOCOLS[name]
    networks = Networks({metric: alexnet.fed(signed=use.signed) for metric, use in protocol.lpips.items()}, thumbnail)
    width, height = protocol.natural or (256, 256)
    scorer = scored(
        name, [(image(i, height, width), image(i + 10, height, width)) for i in range(3)], tmp_path, networks
    )
    for real in ("train", "test"):
        for index in range(4):
            if real in {use.reference for use in (protocol.fid | dict(protocol.kid)).values()}:
                scorer.add_real(real, index, image(20 + index, height, width))
    result = scorer.result()
    assert list(result) == [
        *(
            "protocol",
            "definitions",
            "frames",
            "mean",
            "baselines",
            "not_computed",
            "notes",
            "per_frame",
            "per_frame_baselines",
        )
    ]
    assert set(result["definitions"]) == set(result["mean"])
    assert not result["not_computed"]
    assert all(value is not None and np.isfinite(value) for value in result["mean"].values())
    assert result["protocol"].startswith(f"{name} (")
    assert [row["frame"] for row in result["per_frame"]] == [0, 1, 2]


def _skimage(generated: np.ndarray, truth: np.ndarray, sigma: float) -> dict[str, float]:
    """Reconstruction_Metrics of the tools, with today's scikit-image; float images in 0..1."""
    both = {"channel_axis": 2, "gaussian_weights": True, "sigma": sigma, "use_sample_covariance": False}
    scaled, own = generated * 255, truth * 255
    return {
        "psnr": peak_signal_noise_ratio(truth, generated, data_range=1),
        "l1": np.abs(truth - generated).mean(),
        "ssim_uniform51": structural_similarity(truth, generated, data_range=1, win_size=51, channel_axis=2),
        "ssim_256": structural_similarity(own, scaled, data_range=scaled.max() - scaled.min(), **both),
    }


def _batch(*pictures: np.ndarray) -> list[torch.Tensor]:
    return [torch.tensor(np.ascontiguousarray(p)).permute(2, 0, 1)[None].float() for p in pictures]


def _as_dptn(generated: Path, truth: Path, size: tuple[int, int], white: bool) -> tuple[dict, list, np.ndarray]:
    read = [np.asarray(Image.open(path), np.float32) for path in (generated, truth)]
    shown = [np.full((256, 256, 3), 255.0) for _ in read] if white else read
    for canvas, picture in zip(shown, read, strict=True):
        canvas[:, 40:216] = picture if white else canvas[:, 40:216]
    return _skimage(shown[0] / 255, shown[1] / 255, 1.5), [p / 127.5 - 1 for p in read], read[0]


def _as_gfla(generated: Path, truth: Path, size: tuple[int, int]) -> tuple[dict, list, np.ndarray]:
    return _as_dptn(generated, truth, size, white=False)


def _as_pidm(generated: Path, truth: Path, size: tuple[int, int]) -> tuple[dict, list, np.ndarray]:
    read = [np.asarray(Image.open(path), np.float32) for path in (generated, truth)]
    small = [cv2.resize(p, (176, 256)) for p in read]
    return _skimage(read[0] / 255, read[1] / 255, 1.2), [p / 127.5 - 1 for p in small], small[0]


def _as_pcdms(generated: Path, truth: Path, size: tuple[int, int]) -> tuple[dict, list, np.ndarray]:
    read = [np.asarray(Image.open(path), np.float32) for path in (generated, truth)]
    read = [cv2.resize(p, size, interpolation=cv2.INTER_CUBIC) for p in read]
    return _skimage(read[0] / 255, read[1] / 255, 1.2), [p / 255 for p in read], read[0]


def _as_cfld(generated: Path, truth: Path, size: tuple[int, int]) -> tuple[dict, list, np.ndarray]:
    real = np.asarray(Image.open(truth).resize(size, Image.Resampling.BICUBIC)) / 255
    output = torch.tensor(np.asarray(Image.open(generated))).permute(2, 0, 1)[None].float() / 255
    output = torch.nn.functional.interpolate(output, size[::-1], mode="bicubic", antialias=True) * 255
    output = output.clamp(0, 255).to(torch.uint8)[0].permute(1, 2, 0).numpy()
    return _skimage(output / 255, real, 1.5), [2 * (output / 255) - 1, 2 * real - 1], output


def _as_reposedm(generated: Path, truth: Path, size: tuple[int, int]) -> tuple[dict, list, np.ndarray]:
    read = [
        np.asarray(Image.open(path).resize(size, Image.Resampling.BICUBIC), np.float64) for path in (generated, truth)
    ]
    wide = {"channel_axis": 2, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    scores = _skimage(read[0] / 255, read[1] / 255, 1.2)
    scores["ssim"] = structural_similarity(read[1], read[0], data_range=255, **wide)
    return scores, [p / 127.5 - 1 for p in read], read[0]


def _as_fpdm(generated: Path, truth: Path, size: tuple[int, int]) -> tuple[dict, list, np.ndarray]:
    read = [
        np.asarray(Image.open(path).convert("RGB").resize(size, Image.Resampling.BICUBIC))
        for path in (generated, truth)
    ]
    return _skimage(read[0] / 255, read[1] / 255, 1.5), [2 * (p / 255) - 1 for p in read], read[0]


CHAINS = {
    "dptn": (partial(_as_dptn, white=True), (176, 256), (176, 256)),
    "dptn-market": (partial(_as_dptn, white=False), (64, 128), (64, 128)),
    "gfla": (_as_gfla, (256, 256), (256, 256)),
    "pidm": (_as_pidm, (256, 256), (256, 256)),
    "pcdms": (_as_pcdms, (352, 512), (176, 256)),
    "cfld": (_as_cfld, (352, 512), (176, 256)),
    "fpdm": (_as_fpdm, (352, 512), (176, 256)),
    "reposedm": (_as_reposedm, (352, 512), (176, 256)),
}


@pytest.mark.parametrize("name", CHAINS)
def test_each_tools_chain_from_the_file_to_the_number(name: str, tmp_path: Path, alexnet: Lpips) -> None:
    """Against a few lines a tool: reading, resizing, white, ranges, windows, what LPIPS and Inception are given."""
    chain, (width, height), size = CHAINS[name]
    files = [tmp_path / f"{part}.png" for part in ("generated", "truth")]
    for seed, file in enumerate(files):
        noise = np.random.default_rng(seed).integers(-20, 20, (height, width, 3))
        Image.fromarray((image(seed, height, width) + noise).clip(0, 240).astype(np.uint8)).save(file)
    expected, for_lpips, for_inception = chain(*files, size)
    shown: list[np.ndarray] = []

    def look(picture: np.ndarray) -> np.ndarray:
        shown.append(np.array(picture))
        return thumbnail(picture)

    use = PROTOCOLS[name].lpips["lpips"]
    network = Networks({"lpips": alexnet.fed(signed=use.signed)}, look)
    generated, truth = (np.asarray(Image.open(file)) for file in files)
    scorer = scored(name, [(generated, truth)], tmp_path, network)
    row = scorer.result()["per_frame"][0]
    assert PROTOCOLS[name].size(None) in (None, size)
    for metric, value in expected.items():
        assert row[metric] == pytest.approx(value, abs=2e-6), metric
    with torch.no_grad():
        assert row["lpips"] == pytest.approx(float(alexnet._network(*_batch(*for_lpips))), abs=1e-5)
    np.testing.assert_allclose(shown[0], for_inception, atol=1e-3)
    real = next(iter(PROTOCOLS[name].fid.values())).reference
    scorer.add_real(real, 0, truth)
    by_rule = {"cfld": (for_lpips[1] + 1) * 127.5}.get(name)
    if by_rule is not None:  # the real images of CFLD's FID are Pillow's
        np.testing.assert_allclose(shown[1], by_rule, atol=1e-3)


def test_resizing_rules() -> None:
    picture = image(3, 512, 352)
    by_pil = np.asarray(Image.fromarray(picture).resize((176, 256), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(resize(picture, (176, 256), "pil-bicubic"), by_pil)
    by_torch = resize(picture, (176, 256), "torch-bicubic")
    assert by_torch.dtype == np.uint8
    assert 0 < np.abs(by_torch.astype(int) - by_pil).max() <= 2  # one filter, cut where Pillow rounds
    noise = np.random.default_rng(0).integers(0, 255, (512, 352, 3), dtype=np.uint8)
    sharp, smooth = resize(noise, (176, 256), "cv2-bicubic"), resize(noise, (176, 256), "pil-bicubic")
    assert sharp.std() > 1.2 * smooth.std()  # without antialias noise stays
    for rule in ("pil-bicubic", "cv2-bicubic", "cv2-bilinear", "torch-bicubic"):
        assert resize(picture, (352, 512), rule) is picture  # type: ignore[arg-type]


def test_parts_merged_are_the_whole(tmp_path: Path, alexnet: Lpips) -> None:
    """strict: rows, FID and KID; a part comes pickled, as from another process."""
    pairs = [(image(i), image(i + 50)) for i in range(9)]
    networks = Networks({"lpips_alex": alexnet}, thumbnail)
    parts = []
    for part, numbers in enumerate((range(9), range(4), range(4, 9))):
        scorer = ImageSetScorer(PROTOCOLS["strict"], 9, networks, tmp_path, part=part, parts=3)
        for index in numbers:
            scorer.update(index, *pairs[index])
            scorer.add_real("test", index, pairs[index][1])
        parts.append(scorer)
    whole, one, other = parts
    merge_states(one, [pickle.loads(pickle.dumps(other))])
    found, expected = one.result(), whole.result()
    assert found["per_frame"] == expected["per_frame"]
    assert found["mean"].keys() == expected["mean"].keys()
    for metric, value in expected["mean"].items():
        assert found["mean"][metric] == (None if value is None else pytest.approx(value, rel=1e-9, abs=1e-9))
    assert found["mean"]["fid_test"] > 1
    assert found["mean"]["fid_train"] is None
    merge_states(one, [other])
    with pytest.raises(SigngenError, match="row 4 of the set was scored twice"):
        one.result()
    with pytest.raises(SigngenError, match="5 of 9 pairs are scored"):
        other.result()


def test_whole_set_values_are_those_of_all_features(tmp_path: Path) -> None:
    pairs = [(image(i), image(i + 50)) for i in range(5)]
    scorer = scored("strict", pairs, tmp_path, Networks({}, thumbnail))
    for index, (_, truth) in enumerate(pairs):
        scorer.add_real("test", index, truth)
    sets = FeatureStatistics(), FeatureStatistics()
    files = FeatureFile(tmp_path / "1"), FeatureFile(tmp_path / "2")
    for pair in pairs:
        for statistics, file, picture in zip(sets, files, pair, strict=True):
            statistics.update(thumbnail(picture))
            file.update(thumbnail(picture))
    mean = scorer.result()["mean"]
    assert mean["fid_test"] == pytest.approx(frechet_distance(*(each.compute() for each in sets)))
    assert mean["kid_test"] == pytest.approx(kernel_distance(*(each.compute() for each in files)))


def test_a_tools_last_batch_is_dropped(tmp_path: Path, alexnet: Lpips) -> None:
    """FPDM's LPIPS comes in batches of ten: of eleven images the last one does not count."""
    assert [kept(count, 10) for count in (9, 10, 11, 20, 29)] == [9, 10, 10, 20, 20]
    assert kept(11, None) == 11
    pairs = [(image(i, 256, 176), image(i + 50, 256, 176)) for i in range(11)]
    result = scored("fpdm", pairs, tmp_path, Networks({"lpips": alexnet})).result()
    values = [row["lpips"] for row in result["per_frame"]]
    assert values[-1] is None
    assert result["mean"]["lpips"] == pytest.approx(np.mean(values[:10]))
    assert any("lpips is the mean of 10 of 11 images" in note for note in result["notes"])


def test_lpips_fed_otherwise_is_another_number(alexnet: Lpips) -> None:
    generated, truth = image(0), image(1)
    signed, unit = alexnet(generated, truth), alexnet.fed(signed=False)(generated, truth)
    assert abs(signed - unit) > 0.02 * signed
    for use in (use for protocol in PROTOCOLS.values() for use in protocol.lpips.values()):
        assert ("NOT comparable" in use.text("as it is")) != use.signed


def test_what_cannot_be_computed_has_a_reason(tmp_path: Path) -> None:
    reason = "weights missing"
    small = [(image(0, 100, 100), image(1, 100, 100))]
    scorer = ImageSetScorer(
        PROTOCOLS["strict"], 1, Networks({}, thumbnail), tmp_path, not_computed={"lpips_vgg": reason}
    )
    scorer.update(0, *small[0])
    scorer.add_real("test", 0, small[0][1])
    missing = scorer.result()["not_computed"]
    assert missing["lpips_vgg"] == reason
    assert missing["ms_ssim"] == "MS-SSIM needs images of 176x176"
    assert missing["fid_test"] == "1 images in one of the sets; a distribution needs 2"
    grey = np.full((256, 256, 3), 9, np.uint8)
    missing = scored("pcdms", [(grey, image(0))], tmp_path, Networks()).result()["not_computed"]
    assert missing["ssim_256"] == "the generated image has one value only, and the range is its own"


def test_sizes_a_tool_does_not_take_are_refused(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="352x512; expected 256x256, which --protocol pidm takes"):
        scored("pidm", [(image(0, 512, 352), image(1))], tmp_path, Networks())
    with pytest.raises(VideoError, match="expected 176x256 or 352x512"):
        PROTOCOLS["cfld"].size((256, 256))
    with pytest.raises(VideoError, match="no --size"):
        PROTOCOLS["gfla"].size((256, 256))
    assert PROTOCOLS["cfld"].size(None) == (176, 256)
    assert PROTOCOLS["strict"].size((100, 90)) == (100, 90)
    with pytest.raises(VideoError, match="did you mean pcdms"):
        protocol_named("pcdm")


@pytest.mark.parametrize("size", [(176, 256), (352, 512), (64, 128)])
def test_what_the_reposedm_paper_leaves_open_is_noted_at_each_of_its_sizes(
    size: tuple[int, int], tmp_path: Path, alexnet: Lpips
) -> None:
    width, height = size
    protocol = PROTOCOLS["reposedm"]
    scorer = ImageSetScorer(protocol, 2, Networks({"lpips": alexnet}, thumbnail), tmp_path, size=size)
    for index in range(2):
        scorer.update(index, image(index, 2 * height, 2 * width), image(index + 5, height, width))
        for real in ("train", "test"):
            scorer.add_real(real, index, image(index + (5 if real == "test" else 9), height, width))
    result = scorer.result()
    assert f"resized to {width}x{height} (Pillow's bicubic" in result["protocol"]
    notes = "\n".join(result["notes"])
    for left_open in ("SSIM's window and range", "resizing", "Inception of FID", "real images of FID", "of LPIPS"):
        assert notes.count(left_open) == 1, left_open
    assert "are claims" in notes
    assert result["mean"]["fid"] != result["mean"]["fid_test"]
    assert min(result["mean"][name] for name in ("lpips", "fid", "fid_test")) > 0
    assert len({round(result["mean"][name], 3) for name in protocol.ssims}) == 3  # each reading another number


def test_only_a_protocol_that_leaves_things_open_says_so() -> None:
    assert [name for name, protocol in PROTOCOLS.items() if protocol.left_open] == ["reposedm"]
    with pytest.raises(VideoError, match="expected 176x256 or 352x512 or 64x128"):
        PROTOCOLS["reposedm"].size((128, 64))


def test_baselines_are_scored_like_the_model_whole_or_in_parts(tmp_path: Path) -> None:
    """A baseline's numbers are what its pictures would score as the model's, FID and KID included."""
    networks = Networks({}, thumbnail)
    generated, copied, truths = ([image(seed + n) for n in range(5)] for seed in (0, 20, 40))

    def scorer(
        folder: str, numbers: range, pictures: list[np.ndarray], baselines: bool, part: int = 0
    ) -> ImageSetScorer:
        (tmp_path / folder).mkdir(exist_ok=True)
        names = ("copy-source", "silent") if baselines else ()
        place = tmp_path / folder
        found = ImageSetScorer(PROTOCOLS["strict"], 5, networks, place, part=part, parts=2, baselines=names)
        for n in numbers:
            # The last pair has no source.
            shown = {"copy-source": copied[n] if n < 4 else None} if baselines else None
            found.update(n, pictures[n], truths[n], baselines=shown)
            found.add_real("test", n, truths[n])
            found.add_real("train", n, image(60 + n))
        return found

    whole = scorer("whole", range(5), generated, True)
    one, two = (scorer("two", range(part, 5, 2), generated, True, part) for part in range(2))
    merge_states(one, [pickle.loads(pickle.dumps(two))])
    result = one.result([{"generated": f"{n}.png", "truth": f"{n}.png"} for n in range(5)])
    assert result["per_frame_baselines"] == whole.result()["per_frame_baselines"]
    assert result["baselines"]["copy-source"] == pytest.approx(whole.result()["baselines"]["copy-source"])
    alone = scorer("alone", range(5), [*copied[:4], truths[4]], False).result()
    for row, expected in zip(result["per_frame_baselines"]["copy-source"], alone["per_frame"][:4], strict=True):
        assert row == {name: expected[name] for name in row}
    four = ImageSetScorer(PROTOCOLS["strict"], 4, networks, tmp_path)
    for n in range(4):
        four.update(n, copied[n], truths[n])
    for n in range(5):
        four.add_real("test", n, truths[n])
        four.add_real("train", n, image(60 + n))
    assert result["baselines"]["copy-source"] == pytest.approx(four.result()["mean"])
    assert result["not_computed"]["silent"] == "it has no image for any of the pairs"
    assert "copy-source has no image for 1 of 5 pairs; its means are over the others" in result["notes"]
    assert "on whole images" in verdict(result)
