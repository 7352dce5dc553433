"""When each sign is made: against the lexicon's own targets; signs.csv written and read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from signgen.errors import PairSetError
from signgen.synthetic import Motion, plan_takes, write_videos
from signgen.synthetic.lexicon import HAND_CHANNELS, lexicon
from signgen.synthetic.motion import HANDS, Signed
from signgen.synthetic.signs import read_signs, write_signs

WORDS = {sign.word: sign for sign in lexicon()}


@pytest.mark.parametrize("seed", range(6))
def test_the_hands_are_where_the_sign_wants_them_and_not_elsewhere(seed: int) -> None:
    """At its first and its last frame the dominant wrist is within a hand's breadth of the sign's targets."""
    motion = Motion.random(seed, 100)
    assert [sign.word for sign in motion.signed] == list(motion.glosses)  # a clip as long as its sentence has them all
    wrists = motion.values[:, HANDS].reshape(100, 2, HAND_CHANNELS)[:, 0, :3]
    for before, after in zip(motion.signed, motion.signed[1:], strict=False):
        assert before.stop <= after.start + 1
    for sign in motion.signed:
        first, last = WORDS[sign.word].keys[[0, -1], 0, :3]
        assert np.linalg.norm(wrists[sign.start] - first) < 0.25
        assert np.linalg.norm(wrists[sign.stop - 1] - last) < 0.25


def test_a_part_of_a_motion_has_the_signs_that_lie_in_it() -> None:
    motion = Motion.random(1, 100)
    first, second = motion.signed[:2]
    part = motion[first.start : second.stop]
    assert part.signed[0] == Signed(first.word, 0, first.stop - first.start)
    assert part.signed[1] == Signed(second.word, second.start - first.start, second.stop - first.start)
    assert motion[first.start + 1 : first.stop].signed == ()
    short = Motion.random(1, 10)  # the middle of a sentence of 75 frames
    assert all(sign.start >= 0 and sign.stop <= 10 for sign in short.signed)


def test_a_corpus_says_who_signs_what_when(tmp_path: Path) -> None:
    (take,) = plan_takes(3, signers=1, clips=1, frames=75)["train"]
    clip = replace(take, size=(48, 60)).render()
    assert clip.signed == take.motion.signed != ()
    write_videos(tmp_path / "videos", [clip])
    assert read_signs(tmp_path / "videos") == {clip.name: list(take.motion.signed)}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("clip,sign\nA,B\n", "has the columns clip, sign"),
        ("clip,sign,start_frame,end_frame\nA,{0},5,5\n", "frames 5 to 5"),
        ("clip,sign,start_frame,end_frame\nA,{0},x,5\n", "invalid literal"),
        ("clip,sign,start_frame,end_frame\nA,HELLO,1,5\n", "no sign of the lexicon"),
    ],
)
def test_a_damaged_list_is_one_line(tmp_path: Path, text: str, found: str) -> None:
    word = lexicon()[0].word
    write_signs(tmp_path, {"A": (Signed(word, 1, 5),)})
    assert read_signs(tmp_path) == {"A": [Signed(word, 1, 5)]}
    (tmp_path / "signs.csv").write_text(text.format(word))
    with pytest.raises(PairSetError, match=found):
        read_signs(tmp_path)
    (tmp_path / "signs.csv").unlink()
    with pytest.raises(PairSetError, match=r"no signs\.csv"):
        read_signs(tmp_path)
