"""`params.yaml` and `--set` → one validated `Cell`: everything that decides a run.

Order of precedence, the later wins:
  the adapter's `Config` defaults (the paper's values) < the preset's `methods` section for the adapter (and for
  `adapter@data`) < the entry's own departures < the preset's section for the entry (and `entry@data`) < `--set`.
Training settings follow the same order, with the preset's `training` section first. An entry with `budget: 0.5` takes
as many steps as give half of the images that the sections before it say, whatever its own batch size.
A section with `tuned: ENTRY` begins with the values that `bench tune` chose for that entry on this data set, under this
preset (`tuned: DATA/PRESET/ENTRY`: on another, under another); `tuned: false` in a later section takes them out again.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, PrivateAttr, ValidationError, model_validator

from benchmark import PROTOCOL
from benchmark.contracts import registry
from benchmark.contracts.overrides import overrides_of, section_of
from benchmark.contracts.settings import Strict, Training
from benchmark.support import yaml
from benchmark.support.errors import InputError, first_fault, unknown
from benchmark.support.names import Name, Seed, is_name

if TYPE_CHECKING:
    from benchmark.contracts.dataset import Dataset, DatasetConfig
    from benchmark.contracts.method import Method

PARAMS_FILE, RESULTS = "params.yaml", "results"
OF_ENTRIES = ("adapter", "budget", "note", "varies")  # keys of an entry that are no settings of its adapter
Model = TypeVar("Model", bound=BaseModel)


def _or_empty(section: Any) -> Any:
    return {} if section is None else section  # YAML reads `gray:` without a value as None.


def _departures(section: dict[str, Any]) -> dict[str, Any]:
    """Settings of an adapter; `adapter` is a name, `training` a section."""
    adapter, training = section.get("adapter", "any"), _or_empty(section.get("training"))
    if not isinstance(adapter, str) or not is_name(adapter):
        raise ValueError("adapter: the name of an adapter is wanted (bench list)")
    if not isinstance(training, dict):
        raise ValueError("training: settings as key: value are wanted")
    if not (isinstance(share := section.get("budget", 1), int | float) and 0 < share <= 1):
        raise ValueError("budget: a share of the preset's training images is wanted, above 0 and at most 1")
    tuned = section.get("tuned", False)
    places = tuned.split("/") if isinstance(tuned, str) else []
    if tuned is not False and not (len(places) in (1, 3) and all(map(is_name, places))):
        raise ValueError("tuned: the name of a tuned entry (bench tune --show), DATA/PRESET/ENTRY or false is wanted")
    return {**section, "training": training} if "training" in section else section


Section = Annotated[dict[str, Any], BeforeValidator(_or_empty)]
Sections = Annotated[dict[str, Section], BeforeValidator(_or_empty)]
Departures = Annotated[Section, AfterValidator(_departures)]


class Suite(Strict):
    """The cells that `dvc repro` runs: the product of these lists."""

    preset: str
    data: tuple[str, ...]
    methods: tuple[str, ...]
    seeds: tuple[Seed, ...]


class Preset(Strict):
    """One way to size the suite: `training` by data set (`default` first), `data` and `methods` by name."""

    seeds: int = Field(5, ge=1, strict=True, description="training seeds of a family's row; fewer are marked")
    training: Sections = Field(default_factory=dict)
    data: Sections = Field(default_factory=dict)
    methods: Annotated[dict[str, Departures], BeforeValidator(_or_empty)] = Field(default_factory=dict)


class Params(Strict):
    """The whole of `params.yaml`. Names become folders, and are checked here before any path is made of one."""

    suite: Suite
    entries: Annotated[dict[Name, Departures], Field(min_length=1)]
    presets: dict[Name, Preset]
    _root: Path | None = PrivateAttr(None)  # the project's folder

    @model_validator(mode="after")
    def _vary_others(self) -> Self:
        for name, base in self.varied.items():
            if base not in self.entries:
                raise unknown(f"entry that {name!r} varies (key varies)", base, self.entries)
            chain = [name, base]
            while (base := self.varied.get(chain[-1], "")) and len(chain) <= len(self.entries):
                chain.append(base)
            if name in chain[1:]:
                said = "itself" if chain[1] == name else f"{chain[1]!r}, which varies it in turn"
                raise InputError(f"{PARAMS_FILE}: the entry {name!r} varies {said}; name another one (key varies)")
        return self

    @property
    def varied(self) -> dict[str, str]:
        """Ablation → the entry that it varies, by its key `varies`."""
        return {name: str(entry["varies"]) for name, entry in self.entries.items() if "varies" in entry}

    def entry(self, name: str) -> dict[str, Any]:
        """Returns an entry's departures. A method of another package can run without an entry."""
        if name not in self.entries and name not in registry.names("method"):
            raise unknown("method", name, {*self.entries, *registry.names("method")})
        return self.entries.get(name, {})

    def preset(self, name: str) -> Preset:
        """A preset by name."""
        if name not in self.presets:
            raise unknown("preset", name, self.presets)
        return self.presets[name]

    def tuned(self, place: str, data: str, preset: str) -> Mapping[str, float]:
        """What a committed tuning chose, of `ENTRY` here or of `DATA/PRESET/ENTRY`; InputError without it."""
        from benchmark.contracts.tuning import read_tuning, tuning_path

        *elsewhere, method = place.split("/")
        data, preset = elsewhere or (data, preset)
        return read_tuning(tuning_path((self._root or find_root()) / RESULTS, data, preset, method)).chosen


def find_root(start: Path | None = None) -> Path:
    """The project folder: the nearest one upwards that holds `params.yaml`.

    Raises:
        InputError: no such folder exists.
    """
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / PARAMS_FILE).is_file():
            return folder
    raise InputError(f"no {PARAMS_FILE} in {start} or above; run bench inside a clone of colorbench")


def read_params(root: Path) -> Params:
    """Reads and validates `params.yaml`.

    Raises:
        InputError: not YAML, or an unknown key or value of the wrong type; names the key and the legal ones.
    """
    path = root / PARAMS_FILE
    content = yaml.read(path)
    if content is None:
        back = f"take it back from git (git checkout {PARAMS_FILE}), or write its sections"
        raise InputError(f"{path} is empty; {back} suite, entries and presets")
    params = validate(Params, content, str(path))
    params._root = root
    return params


def validate(model: type[Model], content: Any, where: str) -> Model:
    """Returns an instance of a pydantic model, or raises an InputError that names the fault and its place."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "extra_forbidden":
            place = ".".join(map(str, first["loc"]))
            raise unknown(f"key of {where}", place, _legal_keys(model, first["loc"])) from None
        raise InputError(f"{where}: {first_fault(error, value=True)}") from None


def _legal_keys(model: type[BaseModel], location: Sequence[Any]) -> Iterable[str]:
    for part in location[:-1]:
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
        elif annotation is not None:  # dict[str, Preset]: the next part is a name, the one after a key of Preset
            inner = [a for a in getattr(annotation, "__args__", ()) if isinstance(a, type) and issubclass(a, BaseModel)]
            model = inner[0] if inner else model
    return model.model_fields


@dataclass(frozen=True)
class Cell:
    """One cell of the benchmark: a method entry on a data set under a preset and a seed, with all its settings."""

    method: str  # entry of params.yaml
    adapter: str
    data: str  # name of the data set, "folder-holidays" for "folder:/photos/holidays"
    data_adapter: str
    data_path: Path | None  # The path in "folder:/path".
    preset: str
    seed: int
    training: Training
    method_settings: Mapping[str, Any]  # departures from the adapter's Config
    data_settings: Mapping[str, Any]
    overrides: Mapping[str, Any] = field(default_factory=dict)  # "section.key" → legal value, as changed by --set.
    trained_in: "Cell | None" = None  # of a transfer: the cell whose model is tested on this one's data set

    @cached_property
    def method_class(self) -> "type[Method]":
        """The adapter, imported on first use."""
        return registry.load_method(self.adapter)

    @cached_property
    def method_config(self) -> Any:
        """The adapter's validated Config, of the adapter's own type."""
        return validate(self.method_class.Config, dict(self.method_settings), f"method {self.method!r}")

    @cached_property
    def dataset_class(self) -> "type[Dataset]":
        """The data set's adapter, imported on first use."""
        return registry.load_dataset(self.data_adapter)

    @cached_property
    def data_config(self) -> "DatasetConfig":
        """The data set's validated Config."""
        return validate(self.dataset_class.Config, dict(self.data_settings), f"data set {self.data!r}")

    @property
    def training_cell(self) -> "Cell":
        """The cell that is trained: this one, or of a transfer the one whose model it tests."""
        return self.trained_in or self

    def tested_on(self, tested: "Cell") -> "Cell":
        """The cell that tests this one's model on the data of another. InputError: that is what it is trained on."""
        from benchmark.contracts.dataset import TRANSFER

        if tested.data == self.data:
            raise InputError(f"--test-on {self.data}: the model is trained on it; name another data set")
        names = ("method", "adapter", "seed", "training", "method_settings", "overrides")
        kept = {name: getattr(self, name) for name in names}
        return replace(tested, preset=f"{TRANSFER}{self.data}-{self.preset}", trained_in=self, **kept)

    @property
    def name(self) -> str:
        """Returns the cell's name for messages: `cgan on cifar10, preset quick, seed 0`."""
        return f"{self.method} on {self.data}, preset {self.preset}, seed {self.seed}"

    @property
    def spec(self) -> str:
        """Returns the value of `--data` for the cell's data set: `cifar10`, `folder:/photographs`."""
        return f"{self.data_adapter}:{self.data_path}" if self.data_path else self.data

    @property
    def arguments(self) -> list[str]:
        """The arguments of `bench run` or `bench train` that mean this cell."""
        words = ["--method", self.method, "--data", self.spec, "--preset", self.preset, "--seed", str(self.seed)]
        for key, value in sorted(self.overrides.items()):
            words += ["--set", f"{key}={json.dumps(value)}"]
        return words

    def settings(self) -> dict[str, Any]:
        """Every setting of the run, as plain JSON values."""
        return {
            "protocol": PROTOCOL,
            **{name: getattr(self, name) for name in ("method", "adapter", "data", "preset", "seed")},
            "training": self.training.model_dump(mode="json"),
            "method_config": self.method_config.model_dump(mode="json"),
            "data_config": self.data_config.model_dump(mode="json"),
            **({"trained_in": self.trained_in.settings()} if self.trained_in else {}),
        }


def _held(cell: Cell, key: str) -> Any:
    section, _, name = key.partition(".")
    settings = cell.training if section == "training" else getattr(cell, f"{section}_config")
    return settings.model_dump(mode="json")[name]


def resolve(
    params: Params,
    *,
    method: str | None,
    data: str,
    preset: str,
    seed: int = 0,
    assignments: Sequence[str] = (),
    tuned: bool = True,
) -> Cell:
    """The cell that these names mean.

    Args:
        params: the project's `params.yaml`.
        method: an entry, or an adapter without one; None: work on the data alone, for which no method is needed.
        data: a data set's name, or `folder:/path`.
        preset: a preset's name.
        seed: the seed of everything random in training.
        assignments: `key=value` texts of `--set`.
        tuned: take the tuned values that `params.yaml` names; a tuning itself cannot have them yet.

    Raises:
        InputError: an unknown name or key, a value of the wrong type, or a tuning that is not there.
    """
    from benchmark.contracts.dataset import parse_spec, parse_transfer

    if preset not in params.presets and (of := parse_transfer(preset, params.presets, registry.names("dataset"))):
        again = partial(resolve, params, preset=of[1])
        trained = again(method=method, data=of[0], seed=seed, assignments=assignments, tuned=tuned)
        return trained.tested_on(again(method=None, data=data))
    data_adapter, data_path, data_name = parse_spec(data)
    if data_adapter not in registry.names("dataset"):
        raise unknown("data set", data, registry.names("dataset"))
    entry, sizes = params.entry(method) if method is not None else {}, params.preset(preset)
    method = method or ""
    adapter = entry.get("adapter", method)
    names = [adapter] if adapter == method else [adapter, method]
    departures = [sizes.methods.get(key, {}) for name in names for key in (name, f"{name}@{data_adapter}")]
    own = {key: value for key, value in entry.items() if key not in OF_ENTRIES}
    departures.insert(2, own)  # Between the preset's sections for the adapter and for the entry.
    where = f"training settings of {method!r} in preset {preset!r}"
    chosen: dict[str, Any] = {}
    training = {**sizes.training.get("default", {}), **sizes.training.get(data_adapter, {})}
    last = next((section for section in reversed(departures) if "tuned" in section), None)
    for section in departures:
        if tuned and section is last and section["tuned"]:
            chosen |= params.tuned(section["tuned"], data_name, preset)
        chosen |= {key: value for key, value in section.items() if key not in ("training", "tuned")}
        before = training
        training = before | section.get("training", {})
        if section is own and "budget" in entry:
            images = entry["budget"] * validate(Training, before, where).images
            training["steps"] = validate(Training, training, where).steps_for(images)
    data_settings = dict(sizes.data.get(data_adapter, {}))
    overrides: dict[str, Any] = {}
    if assignments:
        models: dict[str, type[BaseModel]] = {"data": registry.load_dataset(data_adapter).Config}
        if method:
            models |= {"training": Training, "method": registry.load_method(adapter).Config}
        overrides = overrides_of(assignments, models)
        training |= section_of(overrides, "training")
        chosen |= section_of(overrides, "method")
        data_settings |= section_of(overrides, "data")
    cell = Cell(
        method=method,
        adapter=adapter,
        data=data_name,
        data_adapter=data_adapter,
        data_path=data_path,
        preset=preset,
        seed=seed,
        training=validate(Training, training, where),
        method_settings=chosen,
        data_settings=data_settings,
        overrides=overrides,
    )
    return replace(cell, overrides={key: _held(cell, key) for key in overrides})  # 5 and 5.0 steps are one setting
