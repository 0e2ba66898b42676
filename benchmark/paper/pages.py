"""What commands that write pages say of them."""

from collections.abc import Sequence
from pathlib import Path

import click

from benchmark.support.errors import BenchError


def say_written(stale: Sequence[Path], check: bool, command: str) -> None:
    """Names the files that differed from what they are made of; BenchError if they were only checked."""
    for path in stale:
        click.echo(f"{'out of date' if check else 'written'}: {path}", err=True)
    if check and stale:
        raise BenchError(f"pages differ from what they are made of; run: {command}, and commit what it writes")
