"""Kedro hooks: what happens around a run, before its first node and after its last."""
