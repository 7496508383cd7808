"""YAML as people write it by hand: PyYAML's safe subset, and no key twice."""

from __future__ import annotations

from typing import Any

import yaml


class DuplicateKey(yaml.MarkedYAMLError):
    """A mapping names a key twice; YAML's readers would silently take the last."""


def load_yaml(text: str) -> Any:
    """What `yaml.safe_load` returns; raises DuplicateKey, or another yaml.YAMLError."""
    loader = yaml.SafeLoader(text)
    try:
        document = loader.get_single_node()
        if document is None:
            return None
        # Before anything is merged: `<<` may bring a key that the mapping itself overrides.
        _check_keys(document)
        return loader.construct_document(document)
    finally:
        loader.dispose()


def _check_keys(document: yaml.Node) -> None:
    waiting, seen = [document], {id(document)}
    while waiting:
        node = waiting.pop()
        children: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            lines: dict[tuple[str, str], int] = {}
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode):
                    name, line = (key.tag, key.value), key.start_mark.line + 1
                    if name in lines:
                        where = f"lines {lines[name]} and {line}"
                        raise DuplicateKey(
                            problem=f"the key {key.value!r} stands twice, in {where}",
                            problem_mark=key.start_mark,
                        )
                    lines[name] = line
                children += [key, value]
        elif isinstance(node, yaml.SequenceNode):
            children = list(node.value)
        # An alias is the very node of its anchor, and may lie inside itself.
        for child in children:
            if id(child) not in seen:
                seen.add(id(child))
                waiting.append(child)
