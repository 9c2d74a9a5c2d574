"""llama.cpp's own server with a small real model, in a process of its own.

Run by hand: ``python llama_server.py MODEL.gguf`` prints its address, and ends with its input.
"""

from __future__ import annotations

import sys

import xllamacpp

if __name__ == "__main__":
    settings = xllamacpp.CommonParams()
    settings.model.path = sys.argv[1]
    settings.n_ctx, settings.n_parallel = 8192, 2
    # Threads that wait for each other by spinning take minutes where others use the cores.
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
    settings.warmup = False
    settings.endpoint_metrics = True
    server = xllamacpp.Server(settings)
    print(server.listening_address, flush=True)
    sys.stdin.read()
