"""YAML that people write: what PyYAML reads, but for a key that occurs twice, of which it would drop the first."""

from typing import Any

import yaml

Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MERGE = "tag:yaml.org,2002:merge"


def load(text: str) -> Any:
    """The content of a YAML text; `yaml.YAMLError` says what is wrong, also a key that occurs twice, with its lines."""
    return load_node(text)[0]


def load_node(text: str) -> tuple[Any, yaml.Node | None]:
    """The content of a YAML text, and its node, which knows the lines."""
    loader = Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None, None
        _refuse_keys_twice(node)
        return loader.construct_document(node), node
    except (ValueError, OverflowError, RecursionError) as error:  # a date as 2026-13-45, or a depth of thousands
        raise yaml.YAMLError(f"a value that cannot be read: {error}; put text in quotes") from None
    finally:
        loader.dispose()


def _refuse_keys_twice(root: yaml.Node) -> None:
    waiting = [root]
    seen: set[int] = set()  # an alias leads to a node again
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        if isinstance(node, yaml.MappingNode):
            waiting += [value for _, value in node.value]
            _refuse_in_mapping(node)


def _refuse_in_mapping(mapping: yaml.MappingNode) -> None:
    line_of: dict[tuple[str, str], int] = {}
    for key, _ in mapping.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
            continue
        line = key.start_mark.line + 1
        name = (key.tag, key.value)
        if name in line_of:
            lines = f"lines {line_of[name]} and {line}" if line_of[name] != line else f"line {line}, twice"
            raise yaml.YAMLError(f"the key {key.value!r} stands on {lines}; keep one of them")
        line_of[name] = line
