"""`bench push` and `bench pull`: trained models to and from a folder, a remote or a hub."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli.options import SEED, together

if TYPE_CHECKING:
    from benchmark.share.transfer import Moved

PLACE = "FOLDER, remote:NAME of DVC, s3://… or any URL of fsspec, hf:OWNER/NAME."
_selection = together(
    click.option(
        "--method", "methods", multiple=True, metavar="NAME", help="Only this entry; may be given several times."
    ),
    click.option("--data", metavar="NAME", help="Only this data set."),
    click.option("--preset", metavar="NAME", help="Only this preset."),
    click.option("--seed", type=SEED, help="Only this seed."),
    click.option("--best", is_flag=True, help="Only the models that results/*/*/models.sha256 lists, by their hash."),
)


@click.command()
@click.option("--to", required=True, metavar="PLACE", help=PLACE)
@_selection
@click.option("--license", "licence", default="other", show_default=True, metavar="ID", help="Of the weights: mit, …")
def push(to: str, licence: str, **selected: Any) -> None:
    """Send trained models with card, record and hashes to another place; all that are current, or the chosen ones."""
    from benchmark.share.packing import Selection
    from benchmark.share.transfer import push as send

    _tell(send(to, Selection(**selected), licence))


@click.command()
@click.option("--from", "source", required=True, metavar="PLACE", help=PLACE)
@_selection
@click.option("--overwrite", is_flag=True, help="Replace another model of the same cell.")
def pull(source: str, overwrite: bool, **selected: Any) -> None:
    """Fetch trained models, verify them, and put them where `bench colorize`, `compare` and `evaluate` find them."""
    from benchmark.share.packing import Selection
    from benchmark.share.transfer import pull as fetch

    _tell(fetch(source, Selection(**selected), overwrite))


def _tell(moved: "Iterable[Moved]") -> None:
    """A line for each model; exit code 1 if any failed."""
    failed = False
    for one in moved:
        failed |= one.failed
        click.echo(f"bench: {one}" if one.failed else str(one), err=one.failed)
    sys.exit(int(failed))
