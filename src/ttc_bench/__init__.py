"""ttc-bench: what does test-time compute buy, and which policy is worth its cost?"""

import warnings

__version__ = "0.1.0"

# Said by MLflow about a class of a plugin, on every import: nothing that a user could act on.
# It has to be here: Kedro imports its plugins before a project's settings.
warnings.filterwarnings("ignore", message=".*Add type hints to the `predict` method")
