"""Keys: where they come from, and how they are kept out of everything a run writes."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

from ttc_bench.errors import UserError

HIDDEN = "[key hidden]"

_LOOKS_LIKE_A_KEY = re.compile(
    r"(?i:bearer\s+)[^\s\"',;}]+"
    r"|\b(?:sk|gsk|pk|rk|xai|hf|nvapi|pplx|csk|fw|r8|gh[opsu]|github_pat|glpat|xox[abp])"
    r"[-_][A-Za-z0-9_*.\-]{6,}"
    r"|\bAIza[A-Za-z0-9_\-]{10,}"
    r"|\bA[KS]IA[A-Z0-9]{16}\b"
    r"|\beyJ[A-Za-z0-9_\-]{6,}\.[A-Za-z0-9_\-]{6,}\.[A-Za-z0-9_\-]*"
    r"|(?<=://)[^\s/@:]*:[^\s/@]+(?=@)"
)
"""Key shapes of the usual providers, masked ones (``sk-ab***yz``) included; tokens of JSON; the
login of an address."""

_ADDRESS = re.compile(r"[a-z][a-z0-9+.\-]*://\S*\?\S*$", re.I)
_PASSWORD = re.compile(r"^[a-z][a-z0-9+.\-]*://[^\s/@:]*:[^\s/@]+@", re.I)

_NAMES_A_SECRET = re.compile(r"(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|_PWD)$", re.I)
_MAY_NAME_A_SECRET = re.compile(r"(?:^|_)(?:KEY|TOKEN|SECRET|PASSWORD)_", re.I)
"""A variable that says more behind, such as where its file lies: what is a path is none."""

_WORDS = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+(?![a-z])")
_SECRETS = {"secret", "password", "passwd", "passphrase", "pwd", "authorization", "bearer",
            "cookie", "credential", "credentials", "apikey", "authtoken",
            "accesstoken"}  # fmt: skip
_OF_TOKENS = {"auth", "authorization", "access", "api", "bearer", "session", "refresh", "id",
              "user", "client", "security", "secret", "hf", "github"}  # fmt: skip
"""What stands before ``token`` in the name of one that opens a door; others are of text."""

_NO_KEYS = {"cache", "sort", "order", "partition", "idempotency", "routing", "primary", "group"}
"""What stands before ``key`` in the name of one that opens no door."""

_SHORTEST = 8
_LONG = 16
"""Of a key that is at least so long, what it begins with gives it away, too."""

T = TypeVar("T")


def name_of_secret(fields: Any, path: str = "") -> str | None:
    """Return the name of a field that holds what looks like a key, if there is one.

    Args:
        fields: Values by name, however deep.
        path: Name of what they stand in.
    """
    if isinstance(fields, str):
        return path if _LOOKS_LIKE_A_KEY.search(fields) or _asks_with_a_secret(fields) else None
    if isinstance(fields, Mapping):
        parts = [(f"{path}.{name}" if path else str(name), fields[name]) for name in fields]
    elif isinstance(fields, list | tuple):
        parts = [(f"{path}[{number}]", value) for number, value in enumerate(fields)]
    else:
        return None
    for name, value in parts:
        if isinstance(value, str) and value and _names_a_secret(name.rpartition(".")[2]):
            return name
        if inner := name_of_secret(value, name):
            return inner
    return None


def _names_a_secret(name: str) -> bool:
    *before, last = [word.lower() for word in _WORDS.findall(name)] or [""]
    previous = before[-1] if before else ""
    if last == "token":
        return not before or previous in _OF_TOKENS
    return last in _SECRETS or (last == "key" and previous not in _NO_KEYS)


def addresses_with_keys(fields: Any, path: str = "") -> Iterator[str]:
    """Yield the names of fields that hold an address with a password or a key, however deep."""
    if isinstance(fields, str):
        if _PASSWORD.search(fields) or _asks_with_a_secret(fields):
            yield path
    elif isinstance(fields, Mapping):
        for name, value in fields.items():
            yield from addresses_with_keys(value, f"{path}.{name}" if path else str(name))
    elif isinstance(fields, list | tuple):
        for number, value in enumerate(fields):
            yield from addresses_with_keys(value, f"{path}[{number}]")


def _asks_with_a_secret(address: str) -> bool:
    """Return whether a text is an address with a key in its query."""
    if not _ADDRESS.match(address):
        return False
    names = [name for name, _ in parse_qsl(address.partition("?")[2])]
    return any(
        _names_a_secret(name) or name.lower().endswith(("sig", "signature")) for name in names
    )


def check_address(base: str | None) -> None:
    """Raise unless an address may be called, and written to reports.

    Raises:
        UserError: If it is none, or holds a login, a query or a fragment; it is then not shown.
    """
    if base is None:
        return
    if "@" in base or "?" in base or "#" in base:
        raise UserError(
            "parameter model.api_base: keys and passwords do not belong into addresses, which are"
            " written to reports. Set the provider's key in the environment, or name variables of"
            " it under model.headers."
        )
    try:
        parts = urlsplit(base)
        host = (parts.hostname or "").encode("idna")
        is_address = parts.scheme in ("http", "https") and host and parts.port != 0
    except ValueError:  # A port, a name or an address of IPv6 that is none.
        is_address = False
    if not is_address or any(map(str.isspace, base)):
        raise UserError(f"parameter model.api_base: {base!r} is no http(s) address.")


class Redactor:
    """Takes keys out of text that others wrote, such as a provider's error message.

    Args:
        keys: The keys in use, headers among them; secrets found in the environment are taken out
            too.
    """

    def __init__(self, keys: Iterable[str | None] = ()) -> None:
        secrets = {part for key in keys if key for part in _parts(key)}
        secrets |= {part for key in _of_environment() for part in _parts(key)}
        secrets = {secret for secret in secrets if len(secret) >= _SHORTEST}
        forms = {form for secret in secrets for form in _forms(secret) if len(form) >= _SHORTEST}
        # Longest first, or a key that contains another would leave its rest.
        self._keys = sorted(forms, key=len, reverse=True)
        begins = sorted({re.escape(s[:_SHORTEST]) for s in secrets if len(s) >= _LONG})
        self._begun = re.compile(rf"(?:{'|'.join(begins)})[\w*.…\-]*") if begins else None

    def __call__(self, text: str) -> str:
        """Return ``text`` without any key, known, in part, or by its look."""
        text = self.known(text)
        if self._begun is not None:
            text = self._begun.sub(HIDDEN, text)
        return _LOOKS_LIKE_A_KEY.sub(HIDDEN, text)

    def known(self, value: T) -> T:
        """Return a JSON value without the keys that are known: what only looks like one stays."""
        cleaned: Any = value
        if isinstance(value, str):
            for key in self._keys:
                cleaned = cleaned.replace(key, HIDDEN)
        elif isinstance(value, Mapping):
            cleaned = {self.known(name): self.known(part) for name, part in value.items()}
        elif isinstance(value, list):
            cleaned = [self.known(part) for part in value]
        return cleaned  # type: ignore[no-any-return]

    def line(self, text: str, most: int = 300) -> str:
        """Return ``text`` as one redacted line of at most ``most`` characters."""
        whole = " ".join(self(text).split())
        return whole if len(whole) <= most else f"{whole[: most - 1]}…"


def _of_environment() -> Iterator[str]:
    """Yield the secrets among the variables, and the passwords of addresses, as of a proxy."""
    for name, value in os.environ.items():
        is_plain = value[:1] not in ("/", ".", "~") and not value.isdigit()
        if _NAMES_A_SECRET.search(name) or (is_plain and _MAY_NAME_A_SECRET.search(name)):
            yield value
        elif "://" in value and "@" in value:
            try:
                yield urlsplit(value).password or ""
            except ValueError:  # It is no address.
                continue


def _parts(key: str) -> Iterator[str]:
    """Yield a key and what of it is secret by itself: a token behind its scheme, a password."""
    yield key
    scheme, _, rest = key.strip().partition(" ")
    if rest:
        yield rest.strip()
    if scheme.lower() == "basic":
        try:
            login = base64.b64decode(rest).decode()
        except ValueError:
            return
        yield login
        yield login.partition(":")[2]


def _forms(secret: str) -> Iterator[str]:
    """Yield a secret as texts may hold it: as it is, in JSON, in an address, in base64, in hex."""
    raw = secret.encode("utf-8", "surrogateescape")
    quoted = (quote(secret), quote(secret, safe=""), quote_plus(secret))
    yield from {secret, unquote(secret), *quoted, raw.hex(), raw.hex().upper()}
    yield from (re.sub(r"%..", lambda sign: sign[0].lower(), form) for form in quoted)
    yield from {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    for offset in range(3):
        # Where it stands within what was encoded shifts it; its ends mix with its neighbours.
        coded = base64.b64encode(b"\0" * offset + raw).decode().rstrip("=")
        whole = coded[(0, 2, 3)[offset] : len(coded) - (1 if (offset + len(raw)) % 3 else 0)]
        yield from (whole, whole.replace("+", "-").replace("/", "_"))
