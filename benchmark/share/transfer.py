"""`bench push` and `bench pull`: trained models to and from other places."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from benchmark.contracts import registry
from benchmark.contracts.config import Cell, resolve
from benchmark.contracts.workspace import Workspace, project
from benchmark.data.prepared import open_data
from benchmark.results.currency import Currency
from benchmark.results.tables import MODEL_SUMS
from benchmark.share.card import card, index, result_of
from benchmark.share.packing import (
    CARD_FILE,
    Address,
    Selection,
    Trained,
    addresses,
    nothing_of,
    read_listed,
    read_sums,
    read_trained,
    verify,
    write_sums,
)
from benchmark.share.places import SUMS_FILE, Place, place_of, told
from benchmark.support.errors import BenchError, InputError
from benchmark.support.files import file_sha256, write_atomically
from benchmark.training.record import HISTORY_FILE, MODEL_FILE, RECORD_FILE, read_record, write_record


@dataclass(frozen=True)
class Moved:
    """What became of one model."""

    address: Address
    text: str
    failed: bool = False

    def __str__(self) -> str:
        return f"{self.address}: {self.text}"


def push(to: str, selection: Selection, licence: str) -> list[Moved]:
    """Sends every selected model that is current; says of the others why not.

    With `selection.best` these are the models of the committed lists, whether trained here or not.

    Args:
        to: the place.
        selection: which models.
        licence: the terms of the weights, for their cards.

    Raises:
        InputError: nothing of that selection is trained, or the place is none.
        BenchError: the place cannot be written.
    """
    params, space = project()
    place = place_of(to, space.root)
    trained = _trained_here(space)
    listed = _listed(space, selection) if selection.best else {}
    chosen = [address for address in listed or trained if address in selection]
    if not chosen:
        advice = "train one: bench run (what was trained on private photographs is not sent)"
        raise nothing_of(selection, trained, str(space.root / "models"), advice)
    currency, moved = Currency(params, space), []
    with tempfile.TemporaryDirectory(prefix="bench-push-") as folder:
        staged = Path(folder)
        for address in chosen:
            try:
                cell = _cell(address, currency)
                if why := currency.why_untrained(cell):
                    raise BenchError(f"{why}; train it again")
                _pack(cell, address, staged, space, licence, listed.get(address))
            except BenchError as error:
                moved.append(Moved(address, f"left out: {error}", failed=True))
            else:
                moved.append(Moved(address, "sent"))
        sent = [one.address for one in moved if not one.failed]
        if sent:
            with told(to):
                there = set(addresses(place.names())) | set(sent)
                (staged / CARD_FILE).write_text(index(sorted(there), licence), encoding="utf-8")
                place.send(staged)
    return moved


def _trained_here(space: Workspace) -> list[Address]:
    """The models that may be sent.

    Those of runs with `--set` have folders of longer names; baselines have learned nothing; what was trained on private
    photographs stays here.
    """
    models, public = space.root / "models", registry.names("dataset")
    folders = [path.parent for path in models.glob(f"*/*/*/*/{RECORD_FILE}") if read_record(path.parent).get("steps")]
    found = [Address.of(PurePosixPath(folder.relative_to(models))) for folder in folders]
    return sorted(address for address in found if address and address.data in public)


def _listed(space: Workspace, selection: Selection) -> dict[Address, str]:
    """Model → SHA-256 of the selected ones of the committed lists.

    Raises:
        InputError: they have none of them.
        BenchError: a list is damaged.
    """
    public = registry.names("dataset")  # what was trained on private photographs stays here, listed or not
    listed = {one: sha256 for one, sha256 in read_listed(space.references).items() if one.data in public}
    found = {one: sha256 for one, sha256 in listed.items() if one in selection}
    if not found:
        where = f"the {MODEL_SUMS} below {space.references}"
        raise nothing_of(selection, list(listed), where, "leave --best out, or record rows: bench run --record")
    return found


def _require_listed(address: Address, trained: Trained, sha256: str | None) -> None:
    """BenchError: the committed list has another hash."""
    if sha256 and sha256 != trained.model_sha256:
        raise BenchError(f"{MODEL_FILE} is not the one that {address.data}/{address.preset}/{MODEL_SUMS} lists")


def _cell(address: Address, currency: Currency) -> Cell:
    """The cell of this project that an address names.

    Raises:
        InputError: the project has none.
    """
    return resolve(currency.params, method=address.method, data=address.data, preset=address.preset, seed=address.seed)


def _pack(cell: Cell, address: Address, staged: Path, space: Workspace, licence: str, sha256: str | None) -> None:
    source, target = space.model(cell), staged / str(address)
    trained = read_trained(source)
    _require_listed(address, trained, sha256)
    target.mkdir(parents=True)
    for name in (MODEL_FILE, RECORD_FILE, HISTORY_FILE):
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
    result = result_of(cell, trained.model_sha256, [space.results_of(cell), space.references])
    (target / CARD_FILE).write_text(card(address, cell, trained, result, licence), encoding="utf-8")
    write_sums(target)


def pull(source: str, selection: Selection, overwrite: bool) -> Iterator[Moved]:
    """Fetches, verifies and places every selected model; yields what became of each.

    Args:
        source: the place.
        selection: which models.
        overwrite: whether a model that lies here already may be replaced by another one.

    Raises:
        InputError: nothing of that selection is there, or the place is none.
        BenchError: the place cannot be read.
    """
    params, space = project()
    place = place_of(source, space.root)
    with told(source):
        there = addresses(place.names())
    chosen = [address for address in there if address in selection]
    if not chosen:
        raise nothing_of(selection, there, source, "send one: bench push")
    listed = _listed(space, selection) if selection.best else {}
    for address in listed or chosen:
        try:
            if address not in there:
                raise BenchError("not there")
            yield Moved(address, _pull(address, place, source, Currency(params, space), overwrite, listed.get(address)))
        except BenchError as error:
            yield Moved(address, str(error), failed=True)


def _pull(address: Address, place: Place, source: str, currency: Currency, overwrite: bool, sha256: str | None) -> str:
    cell = _cell(address, currency)
    with tempfile.TemporaryDirectory(prefix="bench-pull-") as folder:
        fetched = Path(folder) / str(address)
        with told(source):
            place.fetch([f"{address}/{SUMS_FILE}"], Path(folder))
        sums = read_sums(fetched)
        with told(source):
            place.fetch([f"{address}/{name}" for name in sums], Path(folder))
        verify(fetched, sums)
        trained = read_trained(fetched)
        _require_listed(address, trained, sha256)
        _require_fit(address, fetched / MODEL_FILE)
        _place(fetched, currency.workspace.model(cell), trained, source, overwrite)
    try:
        prepared = open_data(currency.workspace, cell)
    except BenchError:  # not prepared here: then data are not compared
        prepared = None
    why = currency.why_untrained(cell, currency.identity(cell, prepared))
    scored = result_of(cell, trained.model_sha256, [currency.workspace.references])
    same = ", the very model of the committed row" if scored else ""
    return f"pulled{same}, but stale: {why}" if why else f"pulled, current{same}"


def _require_fit(address: Address, model: Path) -> None:
    """Builds the method with the weights. BenchError: they are damaged, do not fit, or are another cell's."""
    import torch

    from benchmark.photographs.colorizer import load_colorizer

    settings = load_colorizer(model, torch.device("cpu")).card.settings
    named = Address(settings.data, settings.preset, settings.method, settings.seed)
    if named != address:
        raise BenchError(f"{MODEL_FILE} is of {named}")


def _place(fetched: Path, folder: Path, trained: Trained, source: str, overwrite: bool) -> None:
    """Puts the files where the engine looks, the record last, as it vouches for the model."""
    model = folder / MODEL_FILE
    if model.is_file() and file_sha256(model) != trained.model_sha256 and not overwrite:
        raise InputError(f"another model lies in {folder}; say --overwrite to replace it")
    if read_record(folder).get("model_sha256") == trained.model_sha256 and model.is_file():
        return
    for name in (MODEL_FILE, HISTORY_FILE):
        if (fetched / name).is_file():
            write_atomically(folder / name, (fetched / name).read_bytes())
    write_record(folder, trained.model_copy(update={"pulled_from": source}).model_dump(mode="json"))
