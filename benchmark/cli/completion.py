"""Names that a shell completes: `bench run --method <Tab>`. Nothing here imports torch: a key press waits for it."""

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem, get_completion_class

SHELLS = ("bash", "zsh", "fish")


def _methods() -> Iterable[str]:
    from benchmark.contracts.config import find_root, read_params
    from benchmark.contracts.registry import names

    return [*read_params(find_root()).entries, *names("method")]


def _data_sets() -> Iterable[str]:
    from benchmark.contracts.registry import names

    return [f"{name}:" if name == "folder" else name for name in names("dataset")]


def _presets() -> Iterable[str]:
    from benchmark.contracts.config import find_root, read_params

    return read_params(find_root()).presets


def _weights() -> Iterable[str]:
    from benchmark.support.weights import WEIGHTS

    return WEIGHTS


OPTIONS: dict[str, Callable[[], Iterable[str]]] = {
    "--method": _methods,
    "--methods": _methods,
    "--data": _data_sets,
    "--preset": _presets,
}
ARGUMENTS: dict[tuple[str, str], Callable[[], Iterable[str]]] = {  # (group, name of the argument)
    ("main", "method"): _methods,
    ("data", "name"): _data_sets,
    ("judge", "data_set"): _data_sets,
    ("weights", "name"): _weights,
    ("weights", "names"): _weights,
}


class Name(click.ParamType):
    """Text as it is, for which a shell is offered names; where a list is expected, for what follows its last comma.

    Args:
        known: the names, found out when asked for.
        listed: whether names may be given as a list.
    """

    name = "text"

    def __init__(self, known: Callable[[], Iterable[str]], listed: bool) -> None:
        self.known = known
        self.listed = listed

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The names that begin with what is typed; none where they cannot be found out, as outside a project."""
        from benchmark.support.errors import BenchError

        before, comma, begun = incomplete.rpartition(",") if self.listed else ("", "", incomplete)
        try:
            names = dict.fromkeys(self.known())
        except BenchError:
            return []
        return [CompletionItem(before + comma + name) for name in names if name.startswith(begun)]


def offer_names(group: click.Group) -> None:
    """Gives every option and argument that takes a name, in all commands of a group, the type that completes it."""
    for command in group.commands.values():
        if isinstance(command, click.Group):
            offer_names(command)
        for param in command.params:
            is_option = isinstance(param, click.Option)
            known = OPTIONS.get(param.opts[0]) if is_option else ARGUMENTS.get((group.name or "", param.name or ""))
            if known:
                param.type = Name(known, listed="," in (param.metavar or ""))


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that lets SHELL complete commands, options, methods, data sets and presets.

    \b
      bash   eval "$(bench completion bash)"     as a line of ~/.bashrc
      zsh    eval "$(bench completion zsh)"      as a line of ~/.zshrc
      fish   bench completion fish > ~/.config/fish/completions/bench.fish
    """  # noqa: D301 - as in the command group
    root = ctx.find_root()
    made = get_completion_class(shell)
    assert made, f"click completes {SHELLS}"
    click.echo(made(root.command, {}, "bench", "_BENCH_COMPLETE").source())


COMMANDS: tuple[click.Command, ...] = (completion,)
