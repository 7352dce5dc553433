"""How far raters agree beyond chance: Fleiss' kappa, Krippendorff's alpha for nominal answers.

counts: (items, categories), how many raters put the item into the category.
"""

from __future__ import annotations

import numpy as np


def fleiss_kappa(counts: np.ndarray) -> float | None:
    """Fleiss 1971: (P - P_e) / (1 - P_e), P the mean share of agreeing pairs of raters, P_e that of chance.

    None where all answers are one and the same, which chance would explain as well. Raises ValueError unless all items
    have the same number, at least 2, of answers.
    """
    counts = np.asarray(counts, np.float64)
    per_item = counts.sum(1)
    if not len(counts) or per_item[0] < 2 or (per_item != per_item[0]).any():
        raise ValueError("Fleiss' kappa needs items with one and the same number of answers, at least 2")
    raters = per_item[0]
    agreed = float(((counts**2).sum(1) - raters).mean() / (raters * (raters - 1)))
    chance = float(((counts.sum(0) / counts.sum()) ** 2).sum())
    return None if chance == 1 else (agreed - chance) / (1 - chance)


def krippendorff_alpha(counts: np.ndarray) -> float | None:
    """Krippendorff 2011, nominal: 1 - D_o / D_e, the observed over the expected share of disagreeing pairs of answers.

    Items with fewer than 2 answers pair with nothing and are left out; numbers of answers may differ. None where
    nothing can be paired or all answers are one and the same.
    """
    counts = np.asarray(counts, np.float64)
    counts = counts[counts.sum(1) >= 2]
    per_item, per_category = counts.sum(1), counts.sum(0)
    total = per_category.sum()
    expected = (total**2 - (per_category**2).sum()) / (total - 1) if total else 0.0
    if expected == 0:
        return None
    observed = ((per_item**2 - (counts**2).sum(1)) / (per_item - 1)).sum()
    return float(1 - observed / expected)
