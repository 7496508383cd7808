"""`--help` of every command is its docstring."""

import pytest
import typer.main

from ser.cli import app


def commands(group, name="ser"):
    for word, one in group.commands.items():
        if hasattr(one, "commands"):
            yield from commands(one, f"{name} {word}")
        else:
            yield pytest.param(one, id=f"{name} {word}")


@pytest.mark.parametrize("command", commands(typer.main.get_command(app)))
def test_the_paragraphs_of_a_help_have_no_line_breaks_of_the_source(command):
    assert command.help
    assert all("\n" not in part for part in command.help.split("\n\n"))
