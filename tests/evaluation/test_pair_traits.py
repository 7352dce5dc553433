"""What pairs are of: names, keypoints of Market-1501's images, a clip whose source is not its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from signgen.corpora.person.images import person_named, view_named
from signgen.errors import PairSetError
from signgen.evaluation.pair_traits import traits_of_clip, traits_of_images
from signgen.poses.facing import pair_distance
from tests.corpora.person_corpora import MARKET_NAMES, write_annotations
from tests.worlds import figure_poses


def test_names_say_views_and_persons() -> None:
    names = {
        "img/WOMEN/Dresses/id_00007132/04_4_full.jpg": ("full", "WOMENDressesid00007132"),
        "fashionMENTees_Tanksid0000404701_7additional.png": ("additional", "MENTeesTanksid00004047"),
        "img/MEN/Denim/id_00000080/01_6_flat.jpg.png": ("flat", "MENDenimid00000080"),
        "0002_c1s1_000451_03.jpg": (None, "0002"),
        "clip0-000012.png": (None, None),
    }
    assert {name: (view_named(name), person_named(name)) for name in names} == names


def test_images_without_names_of_views_face_where_their_keypoints_say(tmp_path: Path) -> None:
    front = figure_poses(1).keypoints[0, :18, :2]
    points = np.full((18, 2), -1.0)
    points[[0, 5, 2, 11, 8]] = front[[0, 5, 6, 11, 12]]
    back = points.copy()
    back[:, 0] = np.where(points[:, 0] < 0, -1, 64 - points[:, 0])
    keypoints = {f"{MARKET_NAMES[0]}.jpg": points, f"{MARKET_NAMES[1]}.jpg": back}
    keypoints = {name: xy.round().astype(int) for name, xy in keypoints.items()}
    file = write_annotations(tmp_path / "market-annotation-test.csv", keypoints)
    one, other, missing = (f"{name}.jpg" for name in MARKET_NAMES[:3])
    pairs = [(Path(one).stem, Path(other)), (Path(other).stem, Path(missing)), (None, Path(one))]
    found, named = traits_of_images(pairs, file)
    assert not named
    assert [(t.source_view, t.target_view) for t in found.values()] == [
        ("front", "back"),
        ("back", None),
        (None, "front"),
    ]
    # nose 0, shoulders 16 px of weight 2 each, hips 12 px, over a torso of 28 px
    assert found[0].distance == pytest.approx((2 * 2 * 16 + 2 * 12) / (1 + 4 + 2) / 28)
    assert found[1].distance is found[2].distance is None
    assert [t.signer for t in found.values()] == ["0002", "0007", "0002"]
    with pytest.raises(PairSetError, match="no image is called as in DeepFashion or Market-1501"):
        traits_of_images([(None, Path("a.png"))], file)
    assert traits_of_images([(None, Path("a.png"))], None)[0][0].signer is None


def test_a_clip_with_another_source_has_no_distances() -> None:
    keypoints = figure_poses(5).keypoints
    own, other = (traits_of_clip(keypoints, source, [2, 4]) for source in (0, None))
    assert own[4].distance == pair_distance(keypoints[0], keypoints[4]) > 0
    assert (own[2].source_view, own[2].target_view) == ("front", "front")
    assert (other[2].source_view, other[2].target_view, other[2].distance) == (None, "front", None)
    assert traits_of_clip(None, 0, [2, 4]) == {}
