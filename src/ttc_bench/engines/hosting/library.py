"""LiteLLM, imported late and kept quiet."""

from __future__ import annotations

import gc
import logging
import os
import sys
from typing import Any


def litellm() -> Any:
    """Return the LiteLLM module.

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
