"""Keys of hosted models from ``conf/local/credentials.yml``, for runs of any environment."""

from __future__ import annotations

import os
import re

from kedro.config import MissingConfigException, OmegaConfigLoader
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl

from ttc_bench.errors import UserError

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)


class Credentials:
    """Puts the keys under ``hosted`` into the environment, where LiteLLM looks for them.

    Kedro reads ``conf/local`` only for the environment of that name; keys serve all of them. A
    variable that is set already stays as it is, and no key becomes a parameter: parameters are
    logged.
    """

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Set what is not set yet.

        Raises:
            UserError: If the file is not a mapping of variables to keys.
        """
        source = str(context.config_loader.conf_source)
        loader = OmegaConfigLoader(source, base_env="base", default_run_env="local")
        try:
            keys = loader["credentials"].get("hosted") or {}
        except MissingConfigException:
            return
        if not isinstance(keys, dict) or not all(map(_is_variable, keys.items())):
            raise UserError(
                "conf/local/credentials.yml: `hosted` must map environment variables to keys,"
                " e.g. GROQ_API_KEY: gsk_..."
            )
        for variable, key in keys.items():
            os.environ.setdefault(variable, key)


def _is_variable(item: tuple[object, object]) -> bool:
    """Return whether a name and a value can be those of an environment variable."""
    name, value = item
    is_name = isinstance(name, str) and _NAME.fullmatch(name) is not None
    return is_name and isinstance(value, str) and "\0" not in value
