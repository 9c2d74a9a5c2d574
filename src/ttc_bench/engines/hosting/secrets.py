"""Keys: where they come from, and how they are kept out of everything a run writes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

HIDDEN = "[key hidden]"

_LOOKS_LIKE_A_KEY = re.compile(
    r"(?i:bearer\s+)[^\s\"',;}]+"
    r"|\b(?:sk|gsk|pk|rk|xai|hf|nvapi|pplx|csk|fw|r8)[-_][A-Za-z0-9_*.\-]{6,}"
    r"|\bAIza[A-Za-z0-9_\-]{10,}"
)
"""Key shapes of the usual providers, masked ones (``sk-ab***yz``) included."""

_NAMES_A_SECRET = re.compile(r"(?:KEY|TOKEN|SECRET|PASSWORD)$")
_FIELD_OF_A_SECRET = re.compile(
    r"(^|[_-])(api_?key|key|secret|password|authorization|bearer|credentials?|(auth|access)_?token)$"
    r"|^token$",
    re.I,
)
_SHORTEST = 8


def name_of_secret(fields: Mapping[str, Any], path: str = "") -> str | None:
    """Return the name of a field that holds what looks like a key, if there is one."""
    for name, value in fields.items():
        here = f"{path}{name}"
        if isinstance(value, Mapping):
            if inner := name_of_secret(value, f"{here}."):
                return inner
        elif isinstance(value, str) and (
            _FIELD_OF_A_SECRET.search(name) or _LOOKS_LIKE_A_KEY.search(value)
        ):
            return here
    return None


class Redactor:
    """Takes keys out of text that others wrote, such as a provider's error message.

    Args:
        keys: The keys in use; secrets found in the environment are taken out too.
    """

    def __init__(self, keys: Iterable[str | None] = ()) -> None:
        secrets = {key for key in keys if key}
        secrets |= {value for name, value in os.environ.items() if _NAMES_A_SECRET.search(name)}
        # Longest first, or a key that contains another would leave its rest.
        self._keys = sorted((k for k in secrets if len(k) >= _SHORTEST), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """Return ``text`` without any key, known or by its look."""
        return _LOOKS_LIKE_A_KEY.sub(HIDDEN, self.known(text))

    def known(self, text: str) -> str:
        """Return ``text`` without the keys that are known: what only looks like one stays."""
        for key in self._keys:
            text = text.replace(key, HIDDEN)
        return text

    def line(self, text: str, most: int = 300) -> str:
        """Return ``text`` as one redacted line of at most ``most`` characters."""
        whole = " ".join(self(text).split())
        return whole if len(whole) <= most else f"{whole[: most - 1]}…"
