"""How long the ranks of queries in a gallery of a whole corpus take, and how much memory; random embeddings.

python benchmarks/retrieval.py [--gallery 64627] [--queries 2048] [--width 768]
"""

from __future__ import annotations

import argparse
import resource
import time

import torch

from signgen.metrics.histogram import Histogram
from signgen.metrics.retrieval import true_ranks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gallery", type=int, default=64_627)
    parser.add_argument("--queries", type=int, default=2048)
    parser.add_argument("--width", type=int, default=768)
    given = parser.parse_args()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    gallery = torch.randn(given.gallery, given.width, generator=generator)
    truth = torch.arange(given.queries) % given.gallery
    queries = gallery[truth] + torch.randn(given.queries, given.width, generator=generator)
    began = time.process_time()
    ranks = true_ranks(queries, gallery, truth, Histogram().update)
    seconds = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    whole = seconds * given.gallery / given.queries
    print(f"{given.queries:,} queries in {given.gallery:,} entries: {seconds:.1f} s of processor time, {peak:.0f} MB")
    print(f"as many queries as entries would take {whole:.0f} s; R@1 {float((ranks == 1).mean()):.3f}")


if __name__ == "__main__":
    main()
