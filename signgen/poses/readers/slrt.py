"""SLRT / TwoStream pickle in (clip -> {keypoints: float16 array [T, 133, 3]}), PoseSequence of one clip out."""

from __future__ import annotations

from functools import partial

from signgen.poses.readers.base import Reader
from signgen.poses.readers.pickled import identify_key, read_key

READER = Reader(partial(identify_key, format_name="slrt", key="keypoints"), partial(read_key, key="keypoints"))
