"""Parameters that are given beside params.yaml, by their dotted names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from ser.errors import ParamsError
from ser.strict_yaml import load_yaml

#: Between a section and what is in it, in the name of a variable: serve.port is SER_SERVE__PORT.
LEVEL = "__"


def parse_override(words: str) -> tuple[str, Any]:
    """`train.max_epochs=50` as ("train.max_epochs", 50); raises ParamsError."""
    key, equals, value = words.partition("=")
    if not key or not equals:
        raise ParamsError(f"--set {words}: expected KEY=VALUE, such as train.max_epochs=50.")
    try:
        return key.strip(), load_yaml(value)
    except yaml.YAMLError as error:
        raise ParamsError(f"--set {words}: {value!r} is no YAML value.") from error


def from_environment(environment: Mapping[str, str], section: str) -> list[tuple[str, Any]]:
    """Dotted names and values of what the environment sets in a section; raises ParamsError.

    >>> from_environment({"SER_SERVE__LIMITS__MAX_SECONDS": "60"}, "serve")
    [('serve.limits.max_seconds', 60)]

    An empty value sets nothing, as a variable that docker/.env leaves out.
    """
    prefix = f"SER_{section}{LEVEL}".upper()
    found = []
    for variable, text in sorted(environment.items()):
        if variable.startswith(prefix) and text:
            name = f"{section}.{variable.removeprefix(prefix).replace(LEVEL, '.').lower()}"
            try:
                found.append((name, load_yaml(text)))
            except yaml.YAMLError as error:
                raise ParamsError(f"{variable}: {text!r} is no YAML value.") from error
    return found


def set_value(values: dict[str, Any], key: str, value: Any) -> None:
    """Put a value into nested ones; a section that is not there is made, for the reader to refuse.

    Raises ParamsError where part of the key is no section, or the key is one.
    """
    *sections, name = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise ParamsError(f"{key}: {section} holds no keys; name it alone.")
    if isinstance(values.get(name), dict) and not isinstance(value, dict):
        raise ParamsError(f"{key} is a section; name a parameter in it, such as train.max_epochs.")
    values[name] = value


def dotted(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Names and values of nested parameters: `("train.max_epochs", 50)`."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
