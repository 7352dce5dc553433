"""What training a recipe costs, counted on the meta device: `python benchmarks/training_cost.py RECIPE`."""

from __future__ import annotations

import argparse

from signgen.config import load_recipe
from signgen.training.cost import stage_costs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", nargs="?", default="phoenix-256")
    options = parser.parse_args()
    for name, cost in stage_costs(load_recipe(options.recipe)).items():
        print(f"stage {name}: parameters trained {cost.trained}, frozen {cost.frozen}")
        for work, flops in cost.flops.items():
            print(f"  {work:24s} {flops / 1e9:9.1f} GFLOP a sample{', kept' if work in cost.cached else ''}")
        whole, kept = sum(cost.flops.values()), sum(cost.flops.values()) - sum(cost.cached.values())
        print(f"  {'all':24s} {whole / 1e9:9.1f} GFLOP; with what is kept {kept / 1e9:.1f}, x{whole / kept:.2f} less")


if __name__ == "__main__":
    main()
