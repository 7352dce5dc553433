"""Progress bars and warnings of other libraries, off while signgen loads or saves: they would run into signgen's own
lines, and what they warn of (weights of other names, values of other types) is checked and told by signgen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """No bars and no warnings of diffusers and transformers inside; afterwards they are as they were."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    with ExitStack() as restored:
        for library in (diffusers_logging, transformers_logging):
            if library.is_progress_bar_enabled():
                library.disable_progress_bar()  # of transformers: and huggingface_hub's
                restored.callback(library.enable_progress_bar)
            restored.callback(library.set_verbosity, library.get_verbosity())
            library.set_verbosity_error()
        yield
