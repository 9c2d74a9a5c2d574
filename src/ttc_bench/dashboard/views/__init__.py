"""Pages of the dashboard, one file each, registered where it is defined.

A page arranges: what it shows comes from `ttc_bench.reporting`, and its tables from the store::

    @page("decide", title="Decide", rank=0)
    def decide(store: Store) -> None: ...

Its name is its address. What is wrong with the data is raised as a `UserError`, which is shown as
its sentence. (In a folder named ``pages`` Streamlit would run each file by itself.)
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from ttc_bench.dashboard import runs
from ttc_bench.dashboard.parts import plain
from ttc_bench.dashboard.store import Store
from ttc_bench.errors import UserError
from ttc_bench.registry import Registry

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes:
        name: The end of its address.
        title: What it is called.
        show: Fills it.
        rank: Its place among others.
        of_run: Whether it shows a run that was measured, which is chosen at its head.
        prepare: Computes what it shows first, which is then known to whoever opens it.
    """

    name: str
    title: str
    show: Callable[[Store], None]
    rank: int
    of_run: bool = True
    prepare: Callable[[Store], object] | None = None


PAGES: Registry[Page] = Registry("page", "ttc_bench.dashboard.views")
"""The pages of the dashboard."""


def page(
    name: str,
    title: str,
    rank: int,
    of_run: bool = True,
    prepare: Callable[[Store], object] | None = None,
) -> Callable[[Callable[[Store], None]], Page]:
    """Return a decorator that makes a function the page ``name``; see `Page`."""
    return lambda show: PAGES.register(name)(Page(name, title, show, rank, of_run, prepare))


def pages() -> list[Page]:
    """Return the pages in the order of the menu."""
    return sorted(PAGES.values(), key=lambda one: (one.rank, one.name))


def prepare(store: Store) -> None:
    """Compute what pages show first; what goes wrong is told by the page, to who looks at it."""
    for one in pages():
        with suppress(Exception):
            if one.prepare is not None:
                one.prepare(store)


def show(one: Page, store: Store) -> None:
    """Fill a page; whatever goes wrong there is a sentence to who looks at it."""
    with told(one.name):
        one.show(runs.chosen(store) if one.of_run else store)


@contextmanager
def told(name: str) -> Iterator[None]:
    """Tell in a sentence what goes wrong while a page is filled.

    Args:
        name: Name of the page.
    """
    import streamlit as st

    try:
        yield
    except UserError as error:
        st.info(plain(error.message))
    except Exception:
        logger.exception("the page %s could not be shown", name)
        st.error(
            "This view could not be made; the terminal of the dashboard says why. Another choice"
            " above, or another page, may work."
        )
