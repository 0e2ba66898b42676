"""What one would not expect of the metrics, in sentences that follow from the cards. No torch is imported."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmark import PROTOCOL
from benchmark.paper.card.rows import FILE, NO_COLOR, Aspect, Card, CardRow, read_card
from benchmark.scoring.metrics import METRICS

WRONG = {"hue": "Opposite hues", "another": "The colors of another photograph"}
HARMLESS = {"jpeg": "JPEG at quality 50, from which lightness suffers too,", "shift": "Color shifted by four pixels"}
BLIND: dict[Aspect, str] = {"hue": "Hue", "place": "The place of color"}


def cards_in(results_root: Path, other: bool = False) -> list[Card]:
    """Returns the protocol's cards below a results folder, by data set and preset; with `other` those of another one.

    Raises:
        BenchError: a card cannot be read.
    """
    cards = map(read_card, sorted(results_root.glob(f"*/*/{FILE}")))
    return [card for card in cards if any(row.protocol != PROTOCOL for row in card.rows) == other]


def headlines(results_root: Path, most: int = 3) -> list[str]:
    """Returns the most surprising sentences of the cards below a results folder, of the largest card first."""
    cards = sorted(cards_in(results_root), key=lambda card: -card.rows[0].images)
    return [line for card in cards for line in surprises(card)][:most]


def surprises(card: Card) -> Iterator[str]:
    """Yields what one would not expect of the metrics, as sentences for docs/findings.md.

    Colorfulness itself is left out: it is no error, and its difference from the truth's is told of instead.
    """
    where = f"on {card.rows[0].images:,} true test images of {card.data}"
    last = {
        (name, change): row
        for name in card.metrics
        if METRICS[name].direction
        for change in card.changes
        if (row := card.strongest(name, change)) and row.damage is not None
    }
    for change, told in WRONG.items():
        liked = [key for key in last if key[1] == change and change in card.prefers_wrong(key[0])]
        if liked:
            yield f"{told} score better than no color at all in {_figures(last, liked)} {where}."
    for change, told in HARMLESS.items():
        if costly := [key for key, row in last.items() if key[1] == change and (row.damage_low or 0) > 1]:
            yield f"{told} costs more than the loss of all color in {_figures(last, costly)} {where}."
    for aspect, told in BLIND.items():
        if blind := [name for name, change in last if change == NO_COLOR[0] and not card.sees(name, aspect)]:
            yield f"{told} is not seen by {', '.join(f'`{name}`' for name in blind)} {where}."


def _figures(last: Mapping[tuple[str, str], CardRow], keys: Sequence[tuple[str, str]]) -> str:
    """Returns metrics with their damages, no color's being 1."""
    return ", ".join(f"`{key[0]}` ({last[key].damage:.2f} of its damage)" for key in keys)
