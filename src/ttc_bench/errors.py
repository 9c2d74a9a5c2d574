"""Errors that a user can act on: printed as one line, without a traceback."""

from __future__ import annotations

import click


class UserError(click.ClickException):
    """Something the user gave is wrong; the message says what, where and what to do.

    As a `click.ClickException` it ends ``kedro run`` with one line and exit code 1.
    """


class CapabilityError(UserError):
    """A model cannot execute what a policy needs; raised before any call is made."""


class DataError(UserError):
    """A record of a data source is malformed; the message names file, record and field."""


class TrainingError(UserError):
    """A process that trains was lost; the message says how to go on."""
