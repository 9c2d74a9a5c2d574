"""The script that Streamlit runs for each view: it finds the project and shows one page."""

from __future__ import annotations

import hmac
import os
from functools import partial
from pathlib import Path

import streamlit as st
from kedro.utils import find_kedro_project

from ttc_bench.dashboard.parts import READABLE, UNGUARDED, is_dark, plain
from ttc_bench.dashboard.serving import PASSWORD, warning_of
from ttc_bench.dashboard.store import opened
from ttc_bench.dashboard.views import pages, show


def main() -> None:
    """Show the page of the address, once the password is given, where there is one."""
    st.set_page_config("ttc-bench", layout="wide")
    if warning := warning_of(st.config.get_option("server.address")):
        st.warning(plain(warning))
    if not _may_enter():
        return
    folder = find_kedro_project(Path.cwd()) or Path.cwd()
    if not (folder / "conf" / "base").is_dir():
        st.info("There is no project here: start the dashboard in the project's folder.")
        return
    store = opened(folder, os.environ.get("KEDRO_ENV"))
    shown = [
        st.Page(partial(show, one, store), title=one.title, url_path=one.name) for one in pages()
    ]
    # The first page of all has no name in its address, and Streamlit knows it by none: it is one of
    # its own, from which one comes to the first that is shown.
    start = st.Page(partial(_go_to, shown[0]), title="ttc-bench", default=True, visibility="hidden")
    st.html(f"<style>{READABLE['dark' if is_dark() else 'light']} {UNGUARDED}</style>")
    st.navigation([start, *shown], position="top").run()


def _go_to(page: st.Page) -> None:
    """Go to a page, with what the address asks for."""
    st.switch_page(page, query_params=st.query_params.to_dict())


def _may_enter() -> bool:
    """Return whether the password was given, or none is asked for."""
    password = os.environ.get(PASSWORD)
    if not password or st.session_state.get("entered"):
        return True
    given = st.text_input("Password", type="password")
    if given and hmac.compare_digest(given.encode(), password.encode()):
        st.session_state["entered"] = True
        st.rerun()
    if given:
        st.error("This is not the password.")
    return False


main()
