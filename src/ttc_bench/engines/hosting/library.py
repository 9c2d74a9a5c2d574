"""LiteLLM, imported late and kept quiet."""

from __future__ import annotations

import contextlib
import functools
import gc
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

_STAYS = ContextVar("stays", default=False)
"""Whether what is sent from here on goes to the host that it names, or nowhere."""


@contextlib.contextmanager
def staying() -> Iterator[None]:
    """Let LiteLLM follow no redirect in the block.

    It tells all its clients to, and they take the keys along that stand in headers of a provider's
    own (``x-api-key``). It has no setting for that.
    """
    _stay_where_told()
    token = _STAYS.set(True)
    try:
        yield
    finally:
        _STAYS.reset(token)


@functools.cache
def _stay_where_told() -> None:
    """Let the clients of httpx obey `staying`."""
    import httpx

    def obeying(send: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(send)
        def sent(*request: Any, **options: Any) -> Any:
            stays = {"follow_redirects": False} if _STAYS.get() else {}
            return send(*request, **{**options, **stays})

        return sent

    for client in (httpx.AsyncClient, httpx.Client):
        client.send = obeying(client.send)  # type: ignore[method-assign]


@functools.cache
def litellm() -> Any:
    """Return the LiteLLM module, which is set up once: it is asked for at each call.

    Its price map is the one that it was released with, unless the environment variable
    ``LITELLM_LOCAL_MODEL_COST_MAP`` says otherwise: a run talks to no address that the user did
    not name.
    """
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    is_new = "litellm" not in sys.modules
    import litellm as library

    if is_new:
        # Half a million objects that never go: to look through them again and again for garbage
        # would hold up every stream, and with it its clock.
        gc.freeze()
    library.suppress_debug_info = True
    library.telemetry = False
    library.disable_hf_tokenizer_download = True
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy", "httpx"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return library
