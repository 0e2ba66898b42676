"""Names that a shell completes: `bench run --method <Tab>`; docs/terminal.md says how a shell is told to ask.

Nothing here imports torch: a key press waits for it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import click
from click.shell_completion import CompletionItem

from benchmark.contracts.registry import names
from benchmark.contracts.workspace import project
from benchmark.support.errors import BenchError
from benchmark.support.weights import WEIGHTS


def _methods() -> Iterable[str]:
    return [*project()[0].entries, *names("method")]


def _data_sets() -> Iterable[str]:
    return [f"{name}:" if name == "folder" else name for name in names("dataset")]


NAMES: dict[str, Callable[[], Iterable[str]]] = {  # option, or group and argument → what it takes
    "--method": _methods,
    "--methods": _methods,
    "--data": _data_sets,
    "--test-on": _data_sets,
    "--on": _data_sets,
    "--preset": lambda: project()[0].presets,
    "main method": _methods,
    "data name": _data_sets,
    "judge data_set": _data_sets,
    "weights name": lambda: WEIGHTS,
    "weights names": lambda: WEIGHTS,
}


@dataclass(eq=False)
class Name(click.ParamType):
    """Text as it is, for which a shell is offered names; in a list, for what follows its last comma."""

    known: Callable[[], Iterable[str]]
    listed: bool
    name: str = "text"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The names that begin with what is typed; none where they cannot be found out, as outside a project."""
        before, comma, begun = incomplete.rpartition(",") if self.listed else ("", "", incomplete)
        try:
            known = dict.fromkeys(self.known())
        except BenchError:
            return []
        return [CompletionItem(before + comma + name) for name in known if name.startswith(begun)]


def offer_names(group: click.Group) -> None:
    """Gives every option and argument that takes a name, in all commands of a group, the type that completes it."""
    for command in group.commands.values():
        if isinstance(command, click.Group):
            offer_names(command)
        for param in command.params:
            taken = param.opts[0] if isinstance(param, click.Option) else f"{group.name} {param.name}"
            if taken in NAMES:
                param.type = Name(NAMES[taken], listed="," in (param.metavar or ""))
