"""`ser …`: what a person types. Turns words into calls, results and errors into lines."""

from ser.cli.commands import app, main
from ser.output import SOME_FAILED, USER_ERROR

__all__ = ["SOME_FAILED", "USER_ERROR", "app", "main"]
