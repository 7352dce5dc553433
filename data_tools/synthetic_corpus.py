"""Write a corpus of drawn signers in Phoenix-2014T's layout, or as mp4 videos with MMPose JSON.

python data_tools/synthetic_corpus.py corpus --signers 4 --clips 6
signgen build-pairs corpus --keypoints corpus/keypoints --out pairs
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from rich.progress import track

from signgen.data.synthetic import Observation, plan_takes, render_takes, write_phoenix, write_videos


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="a new folder")
    parser.add_argument("--signers", type=int, default=4, help="signers of the training split; test has one more")
    parser.add_argument("--clips", type=int, default=4, help="training clips of each")
    parser.add_argument("--frames", type=int, default=120, help="of each clip")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same corpus")
    parser.add_argument("--size", type=int, nargs=2, default=(210, 260), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--gaps", type=float, default=1.0, help="how often hands go missing; 0 never")
    parser.add_argument("--jitter", type=float, default=0.6, help="px of noise of hand points; 0 exact")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--videos", action="store_true", help="mp4 and MMPose JSON in place of Phoenix's layout")
    args = parser.parse_args()
    observation = Observation(args.jitter, args.gaps)
    size = (args.size[0], args.size[1])
    plan = plan_takes(
        args.seed, signers=args.signers, clips=args.clips, frames=args.frames, size=size, observation=observation
    )
    splits = {
        split: track(render_takes(takes, args.processes), description=split, total=len(takes))
        for split, takes in plan.items()
    }
    if args.videos:
        for split, clips in splits.items():
            write_videos(args.out / split, clips, exact=False)
    else:
        write_phoenix(args.out, splits)


if __name__ == "__main__":
    main()
