"""Keys of hosted models from ``conf/local/credentials.yml``, for runs of any environment."""

from __future__ import annotations

import os

from kedro.config import MissingConfigException, OmegaConfigLoader
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl

from ttc_bench.errors import UserError


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
        if not isinstance(keys, dict) or not all(isinstance(v, str) for v in keys.values()):
            raise UserError(
                "conf/local/credentials.yml: `hosted` must map environment variables to keys,"
                " e.g. GROQ_API_KEY: gsk_..."
            )
        for variable, key in keys.items():
            os.environ.setdefault(variable, key)
