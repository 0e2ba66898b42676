"""The values of `--set KEY=VALUE`, under the whole names of their settings."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from benchmark.support import yaml
from benchmark.support.errors import InputError, unknown


def overrides_of(assignments: Sequence[str], models: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    """The values of `--set` under the whole names of their settings, `section.key`, however they were spelled."""
    legal = [f"{section}.{key}" for section, model in models.items() for key in model.model_fields]
    found = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key:
            raise InputError(f"--set {assignment[:80]!r}: not of the form key=value")
        matches = sorted(full for full in legal if key.strip() in (full, full.partition(".")[2]))
        if not matches:
            raise unknown("key of --set", key.strip(), {full.partition(".")[2] for full in legal})
        if len(matches) > 1:
            raise InputError(f"--set {key.strip()}: say which is meant: {' or '.join(matches)}")
        found[matches[0]] = yaml.load(value, f"--set {assignment[:80]!r}: the value")
    return found


def section_of(overrides: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The overrides of one section, under the short names of its settings."""
    return {key.partition(".")[2]: value for key, value in overrides.items() if key.startswith(f"{name}.")}
