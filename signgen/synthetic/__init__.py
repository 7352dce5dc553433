"""Drawn people who sign: seeds in, frames with exact COCO-WholeBody keypoints out.

`Identity` says who, `Motion` what they do; any identity performs any motion. `render_clip` draws one clip,
`write_phoenix` and `write_videos` write many the way the corpus and MMPose's users have them.
"""

from signgen.synthetic.clip import SyntheticClip, render_clip
from signgen.synthetic.corpus import (
    Take,
    frame_folders,
    plan_cross,
    plan_takes,
    render_takes,
    signer_of,
    write_phoenix,
    write_videos,
)
from signgen.synthetic.identity import Identity
from signgen.synthetic.motion import Motion
from signgen.synthetic.observe import Observation

__all__ = [
    "Identity",
    "Motion",
    "Observation",
    "SyntheticClip",
    "Take",
    "frame_folders",
    "plan_cross",
    "plan_takes",
    "render_clip",
    "render_takes",
    "signer_of",
    "write_phoenix",
    "write_videos",
]
