"""A mark for a setting of an adapter's `Config` whose value follows from a file, as `Annotated[str, OF_FILE]`.

A file may change while the settings that people write stay: such a configuration is never remembered.
"""

from pydantic import BaseModel

OF_FILE = "its value follows from a file"


def depends_on_files(config: type[BaseModel]) -> bool:
    """Whether a setting of this `Config` bears the mark."""
    return any(OF_FILE in field.metadata for field in config.model_fields.values())
