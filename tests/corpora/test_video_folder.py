"""Which video a file of keypoints belongs to, by its name."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from signgen.corpora.video_folder import _owner

NAMES = st.text("ab._", min_size=1, max_size=6)


@given(NAMES, st.sets(NAMES, max_size=8))
def test_a_file_belongs_to_the_longest_name_that_it_begins_with(entry, names):
    """Against every name tried in turn, which thousands of clips have no time for."""
    fitting = [name for name in names if entry == name or entry.startswith((f"{name}.", f"{name}_"))]
    assert _owner(entry, {name: [] for name in names}) == max(fitting, key=len, default=None)
