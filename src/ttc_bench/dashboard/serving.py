"""How the dashboard is served."""

from __future__ import annotations

import gc
import os
from pathlib import Path

from ttc_bench.reporting.drawing.figure import INK, Dot, Dots, Figure, Line, Panel

APP = Path(__file__).with_name("app.py")

PASSWORD = "TTC_BENCH_DASHBOARD_PASSWORD"
"""Variable of the environment that holds the password, if one is asked for."""

MOST_BYTES = 128 * 2**20
"""Size of the scores up to which what pages show first is computed before there is a server: of a
hundred thousand responses that takes some seconds, of a million a minute, and not all pages need
it."""

LOCAL = ("localhost", "127.0.0.1", "::1")


EXAMPLE = Figure(
    [
        Panel(0, 0, "", marks=[
            Line([1.0], [1.0], INK),
            Dots([Dot(1.0, 1.0, "", INK, interval=(0.9, 1.1))], "y", 1.0, named=True),
        ])
    ],
    (1.0, 1.0),
)  # fmt: skip
"""A figure of what a page shows first."""


def warning_of(address: str | None) -> str:
    """Return what is to be told of serving at an address; empty if others cannot reach it.

    Args:
        address: Where the server listens; ``None`` is everywhere.
    """
    if address in LOCAL or os.environ.get(PASSWORD):
        return ""
    return (
        f"The dashboard listens at {address or 'every address'} and asks for no password: whoever"
        f" reaches it reads all prompts and answers. Set {PASSWORD}, or serve it at localhost."
    )


def serve(host: str, port: int) -> None:
    """Serve the dashboard of the project in the working folder until it is interrupted; see `warm`.

    Args:
        host: Address to listen at.
        port: Port to listen at.
    """
    from streamlit.web.cli import main_run

    options = [f"--server.address={host}", f"--server.port={port}"]
    main_run.main([str(APP), *options], standalone_mode=False)


def warm(folder: Path) -> None:
    """Import what the pages of a project need, and compute what they show first.

    So nobody waits for it before the first page. What goes wrong with the data is told there.

    Raises:
        UserError: If the configuration cannot be read.
    """
    import scipy.optimize  # noqa: F401
    import sqlalchemy  # noqa: F401
    import streamlit.web.bootstrap  # noqa: F401

    from ttc_bench.dashboard.store import opened
    from ttc_bench.dashboard.views import prepare
    from ttc_bench.metrics.base import METRICS
    from ttc_bench.reporting.drawing import interactive
    from ttc_bench.reporting.plots import PLOTS

    for registry in (METRICS, PLOTS):
        list(registry)
    # Plotly imports each part of a figure where one is made first.
    interactive.darkened(interactive.draw(EXAMPLE, ""))
    store = opened(folder, os.environ.get("KEDRO_ENV"))
    # A configuration that cannot be read is told now, and not by every page.
    store.parameters("aggregate")
    scores = store.place("all_scores")
    # Streamlit looks for garbage after every click; what was imported by now stays for good.
    gc.collect()
    gc.freeze()
    if scores.path.is_file() and scores.path.stat().st_size <= MOST_BYTES:
        # This imports DuckDB, which tells in the terminal of whatever is never looked at again.
        prepare(store)
