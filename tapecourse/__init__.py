"""What the chapters teach, a module a chapter; `support`, `feedback` and `tools` around it."""

import sys
from typing import Any

# nbformat and Altair load jsonschema, which would take 1.3 s to compile a grammar of addresses.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]


def load_ipython_extension(shell: Any) -> None:
    """Set up a notebook: what ``%load_ext tapecourse`` does."""
    from tapecourse.support.notebook import set_up

    set_up(shell)
