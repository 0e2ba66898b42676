"""`bench new-method`: a working adapter, copied from the template under a new name, and its entry in params.yaml."""

import re
from pathlib import Path

from benchmark.contracts import registry
from benchmark.contracts.config import PARAMS_FILE
from benchmark.methods import TEMPLATE
from benchmark.support.errors import BenchError, InputError
from benchmark.support.files import write_atomically
from benchmark.support.names import is_name


def class_name(name: str) -> str:
    """`deep-prior` → `DeepPrior`."""
    return "".join(part.capitalize() for part in name.split("-"))


def new_method(name: str, root: Path) -> Path:
    """Writes `methods/<name>.py` from the template, and the entry `<name>:` into params.yaml; returns the new file.

    Raises:
        InputError: not a legal name, or taken.
    """
    if not (is_name(name) and re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name)):
        legal = "-".join(re.findall(r"[a-z0-9]+", name.lower())).lstrip("0123456789-") or "my-gan"
        raise InputError(
            f"{name!r} is not a method's name: lower-case letters, digits and single hyphens; "
            f"try: bench new-method {legal}"
        )
    if name in registry.names("method"):
        where = registry.source_file("method", name) or "an entry point"
        raise InputError(f"there is a method {name!r} already: {where}")
    template = registry.source_file("method", TEMPLATE)
    if template is None:
        raise BenchError(f"the template methods/{TEMPLATE}.py is missing")
    params = root / PARAMS_FILE
    entries = add_entry(params.read_text(encoding="utf-8"), name)
    path = template.with_name(f"{registry.file_name(name)}.py")
    write_atomically(path, rename(template.read_text(encoding="utf-8"), name).encode())
    write_atomically(params, entries.encode())
    return path


def rename(template: str, name: str) -> str:
    """The template's text under another name, its docstring replaced by what the author has to say there."""
    body = template.split('"""\n', 1)[1]
    docstring = (
        f'"""{class_name(name)}: what it is, in one line: `bench list` shows this.\n\n'
        "Source: the paper or report, and what is taken from it.\n"
        'Departures: every one, with its reason.\n"""\n'
    )
    old = class_name(TEMPLATE)
    body = re.sub(rf"\b{old}(?=Config\b|\b)", class_name(name), body)
    return docstring + body.replace(f'name = "{TEMPLATE}"', f'name = "{name}"')


def add_entry(params: str, name: str) -> str:
    """The text of params.yaml with an entry more, at the end of `entries:`; comments and order stay.

    Raises:
        BenchError: no `entries:` section.
    """
    section = re.search(r"^entries:.*(?:\n(?:[ \t].*)?)*", params, re.MULTILINE)  # up to what begins at a line's start
    if not section:
        raise BenchError(f"{PARAMS_FILE} has no section 'entries:' to add {name!r} to")
    end = section.start() + len(section[0].rstrip())
    return f"{params[:end]}\n  {name}:" + (params[end:] or "\n")
