"""ttc-bench: what does test-time compute buy, and which policy is worth its cost?"""

__version__ = "0.1.0"
