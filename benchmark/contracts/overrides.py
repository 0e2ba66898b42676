"""What `--set` changes, under whole names: `train_count` and `data.train_count` are one setting."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from benchmark.support.errors import InputError, unknown


def full_keys(overrides: Mapping[str, Any], sections: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    """`--set` values under the whole name of their setting, `section.key`, however they were spelled."""
    legal = {f"{section}.{key}" for section, model in sections.items() for key in model.model_fields}
    found = {}
    for key, value in overrides.items():
        matches = [full for full in sorted(legal) if key in (full, full.partition(".")[2])]
        if not matches:
            raise unknown("key of --set", key, {full.partition(".")[2] for full in legal})
        if len(matches) > 1:
            raise InputError(f"--set {key}: say which is meant: {' or '.join(matches)}")
        found[matches[0]] = value
    return found


def section_of(overrides: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The overrides of one section, under the short names of its settings."""
    return {key.partition(".")[2]: value for key, value in overrides.items() if key.startswith(f"{name}.")}
