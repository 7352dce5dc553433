"""Write a corpus of drawn signers: `signgen synthesize` as a script, beside those for real corpora.

python data_tools/synthetic_corpus.py corpus --signers 4 --clips 6
signgen build-pairs corpus --keypoints corpus/keypoints --out pairs
"""

from __future__ import annotations

import sys

from signgen.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "synthesize")
    main()
