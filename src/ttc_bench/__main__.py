"""Entry point of the packaged project: ``python -m ttc_bench`` or ``ttc-bench``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from kedro.framework.cli.utils import find_run_command
from kedro.framework.project import configure_project


def main(*args: Any, **kwargs: Any) -> Any:
    """Run the project as ``kedro run`` does."""
    configure_project(Path(__file__).parent.name)
    kwargs["standalone_mode"] = not hasattr(sys, "ps1")
    return find_run_command("ttc_bench")(*args, **kwargs)


if __name__ == "__main__":
    main()
