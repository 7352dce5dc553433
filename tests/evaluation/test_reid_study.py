"""`signgen study reid` on drawn people: rows, shares, what a folder's names say, going on, and refusals in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models import resnet18

from signgen.corpora.person.reid import GeneratedImage, read_reid_set
from signgen.evaluation.reid import REAL, ReidRequest, rows_of, share_of, shuffled
from signgen.evaluation.reid_images import planned
from signgen.synthetic.people import write_people
from signgen.training.reid import ReidSettings, build_network, reid_features, train_reid
from signgen.video.reader import read_image
from tests.corpora.person_corpora import points, write_annotations
from tests.line import Command
from tests.tiny import set_options

TINY = ReidSettings("resnet18", steps=12, batch=8, rate=1e-3, width=16, height=32)
OPTIONS = ("--network", "resnet18", "--steps", 2, "--batch", 4, "--size", "16x32", "--device", "cpu", "--threads", 1)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_people(tmp_path_factory.mktemp("people"), people=6, images=2)


@pytest.fixture(scope="module")
def others(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A method that repeats each training image, named by its source."""
    folder = tmp_path_factory.mktemp("others")
    for path in (people / "bounding_box_train").iterdir():
        shutil.copy(path, folder / f"{path.stem}_to_0001_c1s1_000001_01.png")
    return folder


def test_the_drawn_set_is_read_as_market(people: Path) -> None:
    found = read_reid_set(people)
    assert [len(part) for part in (found.train, found.query, found.gallery)] == [18, 6, 18]
    assert {image.person for image in found.train} == {1, 2, 3}
    assert {image.camera for image in found.query} == {1}
    assert {image.camera for image in found.gallery} == {1, 2, 3}


def test_a_study_goes_on_where_it_was_and_states_what_each_row_had(
    people: Path, others: Path, tmp_path: Path, command: Command
) -> None:
    words = ("study", "reid", people, "--out", tmp_path, "--with", f"copy={others}", "--shares", "0.5,1", *OPTIONS)
    printed = command.works(*words)
    result = json.loads((tmp_path / "reid.json").read_text())
    assert list(result["rows"]) == [f"{s} % {name}" for s in (50, 100) for name in ("real", "real + flips", "copy")]
    half = result["rows"]["50 % copy"]
    assert (half["real"], half["generated"], half["left_out_source_outside_share"]) == (9, 9, 9)
    assert result["rows"]["50 % real"]["generated"] == 0
    assert all(0 <= row["mAP"] <= 1 and row["queries"] == 6 for row in result["rows"].values())
    assert "71.9" in printed  # PTN at 80 %, published
    assert "published, other conditions" in printed
    assert "1 generated images for each real one" in printed
    del result["rows"]["100 % copy"]
    (tmp_path / "reid.json").write_text(json.dumps(result))
    again = command.works(*words)
    assert again.count("there already") == 5
    assert set(json.loads((tmp_path / "reid.json").read_text())["rows"]) == set(result["rows"]) | {"100 % copy"}
    refused = command.refuses(*words, "--ratio", 2)
    assert "a study of other settings (ratio)" in refused


def test_training_tells_people_better_than_random_weights(people: Path) -> None:
    """On the very images it was trained on: their classes."""
    torch.set_num_threads(1)
    train = read_reid_set(people).train
    paths, labels = [image.path for image in train], [image.person - 1 for image in train]
    device = torch.device("cpu")

    def right(network: torch.nn.Module) -> float:
        features = torch.from_numpy(reid_features(network, paths, TINY, device))
        return float((network.fc(features).argmax(1).numpy() == labels).mean())

    trained = train_reid(paths, labels, 3, TINY, flips=True, device=device)
    assert right(trained) > right(build_network(TINY, 3).eval()) + 0.2
    again = train_reid(paths, labels, 3, TINY, flips=True, device=device)
    np.testing.assert_array_equal(*(reid_features(n, paths[:2], TINY, device) for n in (trained, again)))


def test_smaller_shares_lie_in_larger_ones_and_others_sources_stay_out(people: Path) -> None:
    train = read_reid_set(people).train
    order = shuffled(train, 3)
    assert sorted(image.key for image in order) == sorted(image.key for image in train)
    images = [GeneratedImage(Path(image.key), image.person, image.key) for image in train]
    unnamed = [GeneratedImage(Path(f"{n}"), 1, None) for n in range(4)]
    request = ReidRequest(people, people, shares=(0.5, 1.0), ratio=0.5, training=ReidSettings(seed=3))
    rows = list(rows_of(request, order, {"a": images, "b": unnamed}))
    half, whole = (row for row in rows if row.name == REAL)
    assert set(half.real) < set(whole.real)
    a, b = (row for row in rows if row.share == 0.5 and row.name in "ab")
    assert (len(a.generated), a.outside, len(b.generated), b.outside) == (4, 9, 4, 0)
    assert {image.source for image in a.generated} <= {image.key for image in a.real}


def test_every_share_has_its_ratio_of_planned_images(people: Path) -> None:
    order = shuffled(read_reid_set(people).train, 0)
    for ratio in (0.5, 1, 2.5):
        plan = planned(order, ["x", "y"], int(len(order) * ratio), seed=0)
        assert len(plan) == int(len(order) * ratio)
        assert {target for _, target in plan} == {"x", "y"}
        first = {image.key for image in order[: share_of(0.5, len(order))]}
        assert sum(image.key in first for image, _ in plan) >= int(len(first) * ratio)


def test_weights_are_taken_but_for_the_classifier(tmp_path: Path, people: Path, command: Command) -> None:
    torch.manual_seed(5)
    state = resnet18(weights=None).state_dict()
    old = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "resnet18.pth")
    network = build_network(ReidSettings("resnet18", tmp_path / "resnet18.pth"), 7)
    assert torch.equal(network.conv1.weight, state["conv1.weight"])
    assert network.fc.out_features == 7
    (tmp_path / "broken.pth").write_bytes(b"no tensors")
    base = ("study", "reid", people, "--out", tmp_path / "out", *OPTIONS)
    larger = (*base, "--network", "resnet34", "--weights", tmp_path / "resnet18.pth")
    assert "tensors do not fit, e.g. layer" in command.refuses(*larger)
    assert "broken.pth: cannot be read" in command.refuses(*base, "--weights", tmp_path / "broken.pth")


def test_a_models_own_images_are_made_of_the_shares_sources(people: Path, tmp_path: Path, command: Command) -> None:
    root = tmp_path / "set"
    shutil.copytree(people, root)
    names = sorted(path.name for path in (root / "bounding_box_train").iterdir())
    rows = [f"{name},{names[number ^ 1]}" for number, name in enumerate(names)]
    (root / "pairs-train.csv").write_text("\n".join(["from,to", *rows]))
    write_annotations(root / "market-annotation-train.csv", {name: points(n) for n, name in enumerate(names)})
    command.works("build-pairs", root, "--out", tmp_path / "pairs")
    steps = set_options("training.fusion.steps=2", "training.diffusion.steps=2", "canvas.width=16")
    words = ("--config", "nano-pictures", "--out", tmp_path / "run", "--device", "cpu", *steps)
    command.works("train", tmp_path / "pairs", *words)
    own = ("--model", tmp_path / "run" / "model", "--pairs", tmp_path / "pairs", "--shares", "0.5", "--ratio", 2)
    command.works("study", "reid", root, "--out", tmp_path / "out", *OPTIONS, *own)
    result = json.loads((tmp_path / "out" / "reid.json").read_text())
    assert result["rows"]["50 % ours"]["generated"] == 18
    sources = {image.key for image in shuffled(read_reid_set(root).train, 0)[:9]}
    made = sorted((tmp_path / "out" / "ours").iterdir())
    assert {path.name.split("_to_")[0] for path in made} == sources
    assert {read_image(path).shape for path in made} == {(128, 64, 3)}
    before = made[0].stat().st_mtime_ns
    command.works("study", "reid", root, "--out", tmp_path / "out", *OPTIONS, *own)
    assert made[0].stat().st_mtime_ns == before
    refused = command.refuses("study", "reid", people, "--out", tmp_path / "x", *OPTIONS, *own[:3], tmp_path / "run")
    assert str(tmp_path / "run") in refused


def test_wrong_input_is_one_line(people: Path, tmp_path: Path, command: Command) -> None:
    base, out = ("study", "reid", people), ("--out", tmp_path / "out", *OPTIONS)
    for name in ("nameless", "stranger", "empty"):
        (tmp_path / name).mkdir()
    picture = next((people / "query").iterdir())
    shutil.copy(picture, tmp_path / "nameless" / "photo.png")
    shutil.copy(picture, tmp_path / "stranger" / "0999_x.png")
    for name, said in (
        ("nameless", "photo.png: its name does not say who it shows"),
        ("stranger", "person 0999; expected one of the 3 people"),
        ("empty", "empty: no images"),
    ):
        assert said in command.refuses(*base, *out, "--with", f"m={tmp_path / name}")
    assert "bounding_box_train: no such folder" in command.refuses("study", "reid", tmp_path / "empty", *out)
    assert "that name is a row's own" in command.refuses(*base, *out, "--with", f"real={tmp_path / 'stranger'}")
    assert "shares of the real images" in command.refuses(*base, *out, "--shares", "0,2")
    assert "--shares half" in command.refuses(*base, *out, "--shares", "half")
    assert "--model without --pairs" in command.refuses(*base, *out, "--model", tmp_path)
    assert "expected resnet18 or" in command.refuses(*base, "--out", tmp_path / "out", "--network", "vgg")
    mixed = tmp_path / "mixed"
    shutil.copytree(people, mixed)
    shutil.copy(picture, mixed / "bounding_box_train" / picture.name)
    assert "1 people are in bounding_box_train and in query" in command.refuses("study", "reid", mixed, *out)
