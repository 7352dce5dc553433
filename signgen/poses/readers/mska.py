"""MSKA pickle in (plain or gzip: clip -> {keypoint: torch tensor [T, 133, 3]}), PoseSequence of one clip out."""

from __future__ import annotations

from functools import partial

from signgen.poses.readers.base import Reader
from signgen.poses.readers.pickled import identify_key, read_key

READER = Reader(partial(identify_key, format_name="mska", key="keypoint"), partial(read_key, key="keypoint"))
