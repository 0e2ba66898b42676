"""Says under each leaderboard which of its columns see hue, saturation and place, if its data has a metric card."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmark import PROTOCOL
from benchmark.paper.card.rows import FILE, Aspect, Card, read_card
from benchmark.results.columns import Filled, LeftOut, Measured
from benchmark.scoring.metrics import Metric
from benchmark.support.errors import BenchError

PREFIX = "Metric card: "
SEEN: dict[Aspect, str] = {
    "hue": "hue is seen by",
    "saturation": "saturation by",
    "place": "the place of color by",
}
ABOVE = "opposite hues, or another photograph's colors, are shown to score above no color in"


class CardNotes:
    """The provider of the line under a leaderboard (`benchmark.results.columns.Provider`)."""

    columns: Mapping[str, Metric] = {}

    def fill(self, folder: Path, measured: Sequence[Measured]) -> Filled:
        """Returns what the card of `results/<data>/<preset>` says of the columns, if it is of the same images."""
        path = folder / FILE
        if not measured or not path.is_file():
            return Filled()
        try:
            card = read_card(path)
        except BenchError as error:
            return Filled(left_out=[LeftOut(path, str(error).removeprefix(f"{path}: "))])
        ours = (PROTOCOL, measured[0].result.provenance.data_sha256["test"][:12])
        if any((row.protocol, row.test_sha256) != ours for row in card.rows):
            return Filled(left_out=[LeftOut(path, "a metric card of another protocol or of other images")])
        first, *rest = remarks(card).items()
        return Filled(remarks=dict([(f"{PREFIX}{first[0]}", first[1]), *rest]))


CARD = CardNotes()


def remarks(card: Card) -> dict[str, list[str]]:
    """Returns what is said under a leaderboard → the columns of which it is true."""
    seen = {told: [name for name in card.metrics if card.sees(name, aspect)] for aspect, told in SEEN.items()}
    return seen | {ABOVE: [name for name in card.metrics if card.prefers_wrong(name)]}
