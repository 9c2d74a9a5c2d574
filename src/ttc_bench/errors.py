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


class NoGoError(UserError):
    """The gate stays closed: a limit is shown to be broken. Exit codes 1 and 2 mean errors."""

    exit_code = 10


class InconclusiveError(UserError):
    """The gate stays closed: no limit is shown to be broken, but not all are shown to be kept."""

    exit_code = 11
