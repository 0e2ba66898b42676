"""The one strict reader of YAML, for all YAML that people or programs write.

The safe loader of PyYAML still builds dates out of text, silently lets a later key replace an earlier one, expands
aliases without a bound and fails with a ValueError on some texts that look like numbers. Here each of these
is an error of one line that names the place.
"""

from collections.abc import Hashable
from pathlib import Path
from typing import Any, ClassVar

import yaml

from benchmark.support.errors import InputError

MAX_BYTES = 2**19  # Largest file; the parser takes seconds for a megabyte.
MAX_DEPTH = 32  # Levels of nesting.
MAX_NODES = 20_000  # Values and keys, each counted as often as an alias repeats it.
MAX_DIGITS = 30  # Longest whole number; no setting needs more digits.
_TAG = "tag:yaml.org,2002:"
_PLAIN = ("null", "bool", "int", "float", "str", "seq", "map")  # Dates, sets, bytes and objects are excluded.


class _Strict(yaml.SafeLoader):
    """The safe loader with bounds; dates stay text."""

    yaml_implicit_resolvers: ClassVar = {  # type: ignore[misc]
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":value"))]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    yaml_constructors: ClassVar = {
        f"{_TAG}{kind}": getattr(yaml.SafeLoader, f"construct_yaml_{kind}") for kind in _PLAIN
    }

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._nodes = 0
        self._sizes: dict[yaml.Node, int] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        """One value with all that it holds; counts depth and size on the way."""
        event = self.peek_event()
        alias = isinstance(event, yaml.AliasEvent)
        self._depth, before = self._depth + 1, self._nodes
        if self._depth > MAX_DEPTH:
            raise _fault(event, f"more than {MAX_DEPTH} levels of nesting")
        node = super().compose_node(parent, index)
        if alias and node not in self._sizes:
            raise _fault(event, "an alias inside the value that it stands for")
        self._nodes += self._sizes[node] if alias and node else 1
        if self._nodes > MAX_NODES:
            raise _fault(event, f"more than {MAX_NODES:,} values, aliases counted as often as they repeat one")
        if node is not None and not alias:
            self._sizes[node] = self._nodes - before
        self._depth -= 1
        return node

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        """Builds a value; one that does not fit its tag is an error that names the place."""
        if node.tag not in self.yaml_constructors:
            raise _fault(node, f"the tag {node.tag.replace(_TAG, '!!')} is not read; legal: {', '.join(_PLAIN)}")
        if node.tag.endswith(":int") and len(node.value) > MAX_DIGITS:
            raise _fault(node, f"a whole number of more than {MAX_DIGITS} digits")
        try:
            return super().construct_object(node, deep)
        except (ValueError, OverflowError, KeyError, IndexError):
            kind = node.tag.rpartition(":")[2]
            raise _fault(node, f"{str(node.value)[:40]!r} is not of type {kind}; quote it if it is a text") from None

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """Builds a mapping; a repeated key is an error."""
        if isinstance(node, yaml.MappingNode):
            seen: dict[Hashable, int] = {}
            for key_node, _ in node.value:
                if key_node.tag == f"{_TAG}merge":
                    continue
                key = self.construct_object(key_node, deep=True)
                if not isinstance(key, Hashable):
                    raise _fault(key_node, "a key that is a list or a mapping")
                if key in seen:
                    raise _fault(key_node, f"the key {key!r} stands here a second time, after line {seen[key] + 1}")
                seen[key] = key_node.start_mark.line
        return super().construct_mapping(node, deep)


def _fault(place: Any, reason: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=reason, problem_mark=place.start_mark)


def load(text: str, where: str) -> Any:
    """The value of one YAML document: null, bool, int, float, str, and lists and mappings of them.

    Raises:
        InputError: not YAML, a key twice, too deep, too large, or a tag of another type; names `where` and the line.
    """
    try:
        return _Strict(text).get_single_data()
    except yaml.YAMLError as error:  # An illegal character has no `problem_mark`.
        place = getattr(error, "problem_mark", None)
        reason = f"line {place.line + 1}: {getattr(error, 'problem', error)}" if place else error
        raise InputError(f"{where} is not valid YAML: {' '.join(str(reason).split())}") from None


def read(path: Path) -> Any:
    """The value of a YAML file in UTF-8.

    Raises:
        InputError: the errors of `load`; or the file is missing, not UTF-8, or too large.
    """
    try:
        content = path.read_bytes()
        if len(content) > MAX_BYTES:
            raise InputError(f"{path} has {len(content):,} bytes; at most {MAX_BYTES:,} are read")
        return load(content.decode("utf-8"), str(path))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path} is not UTF-8 text (line {line}); save it in UTF-8") from None
