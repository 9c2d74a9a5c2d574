"""Metrics: one file per family, registered where it is defined."""
