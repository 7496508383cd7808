"""YAML by PyYAML's safe loader, with duplicate keys refused."""

from __future__ import annotations

from typing import Any

import yaml


class DuplicateKey(yaml.MarkedYAMLError):
    """A mapping has a key twice; PyYAML would silently take the last one."""


class _Loader(yaml.SafeLoader):
    # Nodes are composed before `<<` merges keys, which a mapping may override.
    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            name, line = (key.tag, key.value), key.start_mark.line + 1
            if name in lines:
                where = f"lines {lines[name]} and {line}"
                raise DuplicateKey(
                    problem=f"the key {key.value!r} stands twice, in {where}",
                    problem_mark=key.start_mark,
                )
            lines[name] = line
        return node


def load_yaml(text: str) -> Any:
    """What `yaml.safe_load` returns; raises DuplicateKey, or another yaml.YAMLError."""
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()
