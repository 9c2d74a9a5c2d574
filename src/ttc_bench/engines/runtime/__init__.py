"""Inside the local engine: model loading, white-box runners, caches, sampling, streaming.

Modules here import torch; this package itself does not, so that naming it costs nothing.
"""
