"""Measures what the tests and intervals of the tables are worth, on the deviations and images of committed tables.

    python tests/statistics_simulation.py                     every figure of docs/statistics.md, half an hour
    python tests/statistics_simulation.py --part error        the family-wise errors alone
    python tests/statistics_simulation.py --part error --results results    the same on today's tables
    python tests/statistics_simulation.py --extract FOLDER    makes statistics_tables.json anew from a folder of results

`statistics_tables.json` holds, of the tables of protocol 1 (`git show 3f61084:results/…`), each row's value under each
seed, the covariance that the choice of images gives these, and the distribution of their per-image values. A trial
draws seeds with the deviations of a table's rows and one choice of images for all rows, and tests the outcome.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, polygamma, stdtr

from benchmark.results import statistics
from benchmark.results.columns import Measured
from benchmark.results.draws import DRAWS, image_weights
from benchmark.results.scale import Scale
from benchmark.results.statistics import Estimate, among, holm, shown
from benchmark.scoring.metrics import METRICS

Floats = NDArray[np.float64]
DATA = Path(__file__).with_name("statistics_tables.json")
SOURCE = "3f61084"
FAMILIES = ("l2", "classification", "eccv16", "cgan", "gan-perceptual-own", "gan-perceptual-lite", "house")
TABLES = ("cifar10/quick", "celeba/quick", "coco/quick")  # of protocol 1
OWN = "gan-perceptual-own"
VARIED = {f"{OWN}-{name}": OWN for name in ("lambda-1", "lambda-100", "lr-1e-4", "lr-2e-4", "batch-1", "batch-4")}
VARIED["classification-rebalance"] = "classification"
HEADLINE = ("psnr", "ssim", "auc", "auc_rebal", "top1", "delta_colorfulness")
COVERED = ("psnr", "ssim", "auc", "acc_2", "top1", "delta_e00", "colorfulness", "delta_colorfulness", "clipped")
NOMINAL, WANTED, WANTED_COVERAGE = 0.05, 0.06, 0.94
COLLAPSED_SHARE = 0.2
SIMULATED = ("psnr", "auc", "delta_colorfulness")
SIMULATED_DRAWS = 4000  # reference draws of a test in a trial: fewer than in tables, as thousands of tests are made
QUANTILES = 101
BOOTSTRAP = np.random.default_rng(2016).standard_normal((DRAWS, 64))


class Scene(NamedTuple):
    """What trials draw from."""

    deviations: Floats  # (k,) between seeds
    between: Floats  # (k, k) covariance of the rows' means due to images, whatever the seed
    alone: Floats  # (k,) variance that images give to one seed alone
    means: Floats  # (k,)


def scene(table: dict[str, Any], column: str, names: Sequence[str] = FAMILIES) -> Scene:
    """What a committed table says of one column of some of its rows."""
    rows = [k for k, name in enumerate(table["rows"]) if name in names]
    found = table["columns"][column]
    seeds = np.array(found["seeds"])[rows]
    count = seeds.shape[1]
    blocks = np.array(found["images"]).reshape(len(table["rows"]), count, len(table["rows"]), count)
    blocks = blocks[rows][:, :, rows]
    off = ~np.eye(count, dtype=bool)
    between = np.array([[blocks[a, :, b][off].mean() for b in range(len(rows))] for a in range(len(rows))])
    whole = np.array([np.diag(blocks[a, :, a]).mean() for a in range(len(rows))])
    alone = (whole - np.diag(between)).clip(min=0)
    deviations = np.sqrt((seeds.var(axis=1, ddof=1) - alone).clip(min=0))
    return Scene(deviations, between, alone, np.abs(seeds).mean(axis=1))


def root(covariance: Floats) -> Floats:
    """A matrix whose product with its transpose is the covariance."""
    values, axes = np.linalg.eigh(covariance)
    return np.asarray(axes * np.sqrt(values.clip(min=0)))


def trials(
    of: Scene, count: int, seeds: int, seed: int = 0, means: Floats | None = None, collapse: float = 0.0
) -> Iterator[list[Estimate]]:
    """Outcomes of a table whose rows have these means (0 by default) and, one time in five, collapse by so much."""
    rng = np.random.default_rng(seed)
    rows, images = len(of.deviations), root(of.between)
    apart = np.sqrt(of.alone)[:, None]
    noise = BOOTSTRAP[:, : rows * (seeds + 1)].reshape(DRAWS, rows, seeds + 1)
    draws = (noise[..., 0] @ images.T)[..., None] + apart * noise[..., 1:]
    for _ in range(count):
        luck = of.deviations[:, None] * rng.standard_normal((rows, seeds)) + apart * rng.standard_normal((rows, seeds))
        fallen = collapse * (COLLAPSED_SHARE - (rng.random((rows, seeds)) < COLLAPSED_SHARE))
        center = (0.0 if means is None else means) + images @ rng.standard_normal(rows)
        values = center[:, None] + luck + fallen
        yield [Estimate(values[k], draws[:, k]) for k in range(rows)]


# What was tried -------------------------------------------------------------------------------------------------------

Test = Callable[[list[Estimate]], Floats]  # outcome → (pairs,) corrected p


def _facts(ones: list[Estimate]) -> tuple[Floats, Floats, Floats, Floats, float]:
    """Effects, variances of both sides' means and of the images, (pairs,) each, and K."""
    first, second = np.array(list(combinations(range(len(ones)), 2))).T
    means = np.array([one.mean for one in ones])
    variances = np.array([np.square(one.residuals).sum() for one in ones])
    drawn = np.stack([one.draws.mean(axis=1) for one in ones if one.draws is not None])
    covariance = np.cov(drawn)
    images = covariance[first, first] + covariance[second, second] - 2 * covariance[first, second]
    return means[first] - means[second], variances[first], variances[second], images, len(ones[0].seeds)


def _student(effect: Floats, variance: Floats, freedom: Floats | float) -> Floats:
    return holm(2 * stdtr(freedom, -np.abs(effect) / np.sqrt(variance)))


def protocol_1(ones: list[Estimate], images_scored: int = 9871) -> Floats:
    """Welch's t, Satterthwaite's degrees of freedom over both sides' seeds and N - 1 of the images, Holm."""
    effect, a, b, images, count = _facts(ones)
    freedom = (a + b + images) ** 2 / ((a**2 + b**2) / (count - 1) + images**2 / (images_scored - 1))
    return _student(effect, a + b + images, freedom)


def welch_seeds(ones: list[Estimate]) -> Floats:
    """The same with the degrees of freedom of the seeds alone."""
    effect, a, b, images, count = _facts(ones)
    return _student(effect, a + b + images, (a + b) ** 2 / ((a**2 + b**2) / (count - 1)))


def least_freedom(ones: list[Estimate]) -> Floats:
    """Student's t with K - 1 degrees of freedom, Holm."""
    effect, a, b, images, count = _facts(ones)
    return _student(effect, a + b + images, float(count - 1))


def pooled(ones: list[Estimate]) -> Floats:
    """One deviation for all rows, Holm."""
    effect, _, _, images, count = _facts(ones)
    variance = 2 * np.mean([np.square(one.residuals).sum() for one in ones])
    return _student(effect, variance + images, float(len(ones) * (count - 1)))


def moderated(ones: list[Estimate]) -> Floats:
    """Deviations drawn towards a common one, as far as they agree (Smyth 2004), Welch, Holm."""
    count = len(ones[0].seeds)
    variances, half = np.array([np.square(one.residuals).sum() for one in ones]), (count - 1) / 2
    logs = np.log(variances) - digamma(half) + np.log(half)
    spread = logs.var(ddof=1) - polygamma(1, half)
    grid = np.geomspace(0.05, 200, 2000)
    prior = float(np.interp(-spread, -polygamma(1, grid / 2), grid)) if spread > 0 else 200.0
    common = np.exp(logs.mean() + digamma(prior / 2) - np.log(prior / 2))
    shrunk = (prior * common + 2 * half * variances) / (prior + 2 * half)
    first, second = np.array(list(combinations(range(len(ones)), 2))).T
    effect, _, _, images, _ = _facts(ones)
    a, b = shrunk[first], shrunk[second]
    freedom = (a + b + images) ** 2 / ((a**2 + b**2) / (prior + 2 * half) + images**2 / 9870)
    return _student(effect, a + b + images, freedom)


def games_howell(ones: list[Estimate]) -> Floats:
    """The studentized range at Welch's degrees of freedom (1976), by draws of k normals over one deviation."""
    effect, a, b, images, count = _facts(ones)
    freedom = (a + b + images) ** 2 / ((a**2 + b**2) / (count - 1) + images**2 / 9870)
    rng = np.random.default_rng(1)
    spans = np.ptp(rng.standard_normal((4000, len(ones))), axis=1)
    ratio = np.abs(effect) / np.sqrt((a + b + images) / 2)
    return np.array(
        [float((spans / np.sqrt(rng.chisquare(f, 4000) / f) >= r).mean()) for f, r in zip(freedom, ratio, strict=True)]
    )


def with_best(ones: list[Estimate]) -> Floats:
    """Hsu's comparison with the best (1984): the pairs with the best mean alone, by our test."""
    best = int(np.argmax([one.mean for one in ones]))
    standard = {str(k): one for k, one in enumerate(ones)}
    found = statistics.paired_tests(standard, [(str(best), str(k)) for k in range(len(ones)) if k != best])
    p = {frozenset(pair): one.p for pair, one in found.items()}
    return np.array([p.get(frozenset(map(str, pair)), 1.0) for pair in combinations(range(len(ones)), 2)])


def permutation(ones: list[Estimate]) -> Floats:
    """Every division of the two rows' seeds, Holm: with three seeds each no p is below 0.1."""
    p = []
    for a, b in combinations(ones, 2):
        both, count = np.concatenate([a.seeds, b.seeds]), len(a.seeds)
        chosen = [list(part) for part in combinations(range(2 * count), count)]
        sums = np.array([both[part].sum() for part in chosen])
        p.append(float((np.abs(2 * sums - both.sum()) >= abs(a.seeds.sum() - b.seeds.sum()) - 1e-12).mean()))
    return holm(p)


def ours(ones: list[Estimate], redrawn: float = statistics.REDRAWN) -> Floats:
    """The test of the tables; `redrawn` 0: Behrens and Fisher's deviations alone, 1: all drawn anew."""
    kept, statistics.REDRAWN = statistics.REDRAWN, redrawn
    try:
        found = among({str(k): one for k, one in enumerate(ones)})
    finally:
        statistics.REDRAWN = kept
    return np.array([found[str(a), str(b)].p for a, b in combinations(range(len(ones)), 2)])


TRIED: dict[str, Test] = {
    "protocol 1: Welch, N − 1 for images, Holm": protocol_1,
    "Welch, degrees of freedom of seeds, Holm": welch_seeds,
    "Student, K − 1 degrees of freedom, Holm": least_freedom,
    "one deviation for all rows, Holm": pooled,
    "moderated deviations, Welch, Holm": moderated,
    "Games–Howell": games_howell,
    "permutation of seeds, Holm": permutation,
    "Behrens–Fisher draws, step-down maximum": lambda ones: ours(ones, 0.0),
    "deviations drawn anew, step-down maximum": lambda ones: ours(ones, 1.0),
    "**two thirds drawn anew, step-down maximum (ours)**": ours,
    "ours, pairs with the best alone (Hsu)": with_best,
}


def family_error(test: Test, outcomes: Iterator[list[Estimate]]) -> float:
    """The share of outcomes in which any pair of equals is called different."""
    return float(np.mean([test(ones).min() < NOMINAL for ones in outcomes]))


def power(test: Test, outcomes: Iterator[list[Estimate]], row: int | None = None) -> float:
    """The share of pairs, those of one row if it is given, that are called different."""
    found = []
    for ones in outcomes:
        called = test(ones) < NOMINAL
        of_row = [row is None or row in pair for pair in combinations(range(len(ones)), 2)]
        found.append(called[of_row].mean())
    return float(np.mean(found))


# The tables -----------------------------------------------------------------------------------------------------------


def error_lines(tables: dict[str, Any], count: int, columns: Sequence[str] = SIMULATED) -> Iterator[list[str]]:
    """Family-wise errors of our test: table and column, K = 3 and 5, without and with seeds that collapse."""
    for name, table in tables.items():
        for column in (column for column in columns if column in table["columns"]):
            of = scene(table, column)
            depth = 10 * float(np.median(of.deviations))
            shares = [
                family_error(ours, trials(of, count, seeds, collapse=fall)) for fall in (0.0, depth) for seeds in (3, 5)
            ]
            yield [name, f"`{column}`", *[f"{share:.1%}" for share in shares]]


def tried_lines(tables: dict[str, Any], count: int) -> Iterator[list[str]]:
    """Error and power of everything that was tried, with K = 3 and 5, on psnr of cifar10/quick."""
    of = scene(tables["cifar10/quick"], "psnr")
    worse = int(np.argmax(of.deviations))
    deviations, means = of.deviations.copy(), np.zeros(len(of.means))
    deviations[worse], means[worse] = 1.2, -3.0
    for name, test in TRIED.items():
        cells = []
        for seeds in (3, 5):
            error = family_error(test, trials(of, count, seeds))
            found = power(test, trials(of._replace(deviations=deviations), count, seeds, means=means), worse)
            typical = power(test, trials(of, count, seeds, means=of.means))
            cells += [f"{error:.1%}", f"{found:.0%}", f"{typical:.0%}"]
        yield [name, *cells]


def deviation_lines(tables: dict[str, Any], _: int) -> Iterator[list[str]]:
    """Deviations of psnr between the seeds of the families of each table: the least, the greatest, their ratio."""
    for name, table in tables.items():
        rows = [
            seeds
            for row, seeds in zip(table["rows"], table["columns"]["psnr"]["seeds"], strict=True)
            if row in FAMILIES
        ]
        found = np.std(rows, axis=1, ddof=1)
        yield [name, f"{found.min():.3f} dB", f"{found.max():.3f} dB", f"{found.max() / found.min():.0f}"]


def decided_lines(tables: dict[str, Any], _: int) -> Iterator[list[str]]:
    """Pairs of the committed tables themselves that are shown to differ."""
    for name, table in tables.items():
        for label, names in (("families", FAMILIES), ("with ablations", table["rows"])):
            rows = [row for row in table["rows"] if row in names]
            if label == "families" or len(rows) > len(set(FAMILIES) & set(rows)):
                found = [_decided(table, column, rows) for column in HEADLINE if column in table["columns"]]
                now, then, pairs = np.sum(found, axis=0)
                yield [name, label, str(pairs), str(then), str(now)]
        if varied := {row: VARIED[row] for row in table["rows"] if VARIED.get(row) in table["rows"]}:
            both = [_decided(table, column, pair) for pair in varied.items() for column in HEADLINE]
            now, then, pairs = np.sum(both, axis=0)
            yield [name, "each ablation and what it varies, alone", str(pairs), str(then), str(now)]


def _decided(table: dict[str, Any], column: str, names: Sequence[str]) -> tuple[int, int, int]:
    """Pairs shown to differ under our test and under protocol 1's, and all of them."""
    found = table["columns"][column]
    seeds, count = np.array(found["seeds"]), len(found["seeds"][0])
    noise = np.random.default_rng(3).standard_normal((DRAWS, seeds.size))
    noise = (noise - noise.mean(axis=0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(noise.T))).T  # exactly uncorrelated
    draws = noise @ root(np.array(found["images"])).T + seeds.ravel()
    ones = {
        name: Estimate(
            seeds[k], draws[:, k * count : (k + 1) * count], models=frozenset(table["models"][name]),
            folded=METRICS[column].folded,
        )
        for k, name in enumerate(table["rows"])
        if name in names
    }  # fmt: skip
    now = sum(map(shown, among(ones).values())) // 2
    plain = [Estimate(one.values, one.image_draws) for one in ones.values()]
    return now, int((protocol_1(plain, table["images"]) < NOMINAL).sum()), len(plain) * (len(plain) - 1) // 2


def coverage_lines(tables: dict[str, Any], count: int) -> Iterator[list[str]]:
    """How often intervals hold the truth: column, then each K and N."""
    table = tables["cifar10/quick"]
    for column in COVERED:
        shares = []
        for images in (225, 10_000):
            for seeds in (3, 5):
                hits = [_covered(table, column, row, images, seeds, count) for row in ("l2", "eccv16")]
                shares.append(f"{np.mean(hits):.1%}")
        yield [f"`{column}`", *shares]


def _covered(table: dict[str, Any], column: str, row: str, images: int, seeds: int, count: int) -> float:
    """Of one row's column; seeds move a share by its logit, a distance by its logarithm, a signed value as it is."""
    metric, k = METRICS[column], table["rows"].index(row)
    found = table["columns"][column]
    quantiles, values = np.array(found["quantiles"][k]), np.array(found["seeds"][k])
    mean, deviation = float(values.mean()), float(values.std(ddof=1))
    scale = Scale(None, None) if metric.folded else Scale(*metric.bounds)
    rng = np.random.default_rng(7)
    moved = scale.to(mean) + scale.slope(mean) * deviation * rng.standard_normal(200_000)
    possible = scale.back(moved)
    truth = float(np.abs(possible).mean() if metric.folded else possible.mean())
    middle = float(np.trapezoid(quantiles, dx=1 / (QUANTILES - 1)))
    weights, hits = image_weights(images), 0
    for _ in range(count):
        seed_values = rng.choice(possible, seeds)
        of_images = np.interp(rng.random(images), np.linspace(0, 1, QUANTILES), quantiles)
        drawn, luck = weights @ of_images, of_images.mean()
        if scale.low is None or (metric.bounds[1] is not None and min(mean, 100 - mean) > 15):
            outcome, draws = seed_values + luck - middle, seed_values + (drawn - middle)[:, None]
        else:  # near the end of the range images multiply
            outcome, draws = seed_values * luck / middle, seed_values * (drawn / middle)[:, None]
        low, high = Estimate(outcome, draws, bounds=metric.bounds, folded=metric.folded).interval() or (0.0, 0.0)
        hits += low <= truth <= high
    return hits / count


# The data -------------------------------------------------------------------------------------------------------------


def extract(results: Path) -> dict[str, Any]:
    """What the simulation needs of the tables below a folder of results."""
    return {"source": SOURCE, "tables": {name: _table(_seeds(results / name)) for name in TABLES}}


def current(results: Path) -> dict[str, Any]:
    """The families of each table `quick` that were trained three times, by as many seeds as all of them have."""
    found = {}
    for folder in sorted(results.glob("*/quick")):
        rows = {row: paths for row, paths in _seeds(folder).items() if row in FAMILIES}
        if len(rows) > 1:
            count = min(len(paths) for paths in rows.values())
            found[f"{folder.parent.name}/quick"] = _table({row: paths[:count] for row, paths in rows.items()})
    return found


def _seeds(folder: Path) -> dict[str, list[Path]]:
    """Row → the results of its seeds, of rows with three or more."""
    groups = {row.name: sorted(row.glob("seed*.json")) for row in sorted(folder.iterdir())}
    return {row: paths for row, paths in groups.items() if len(paths) > 2}


def _table(paths: dict[str, list[Path]]) -> dict[str, Any]:
    from benchmark.results.currency import read_whole

    rows = {row: [read_whole(path) for path in of] for row, of in paths.items()}
    models = {row: [row, *(["eccv16"] if row.startswith("gan-perceptual") else [])] for row in rows}
    columns = {column: _column(column, list(rows.values())) for column in dict.fromkeys((*HEADLINE, *COVERED))}
    kept = {column: values for column, values in columns.items() if values}
    images = next(iter(rows.values()))[0].result.images
    return {"images": images, "rows": list(rows), "models": models, "columns": kept}


def _column(name: str, rows: Sequence[Sequence[Measured]]) -> dict[str, Any]:
    metric = METRICS[name]
    every = [one for row in rows for one in row]
    if any(not set(metric.columns) <= one.columns.keys() for one in every):
        return {}
    weights = image_weights(every[0].result.images)
    drawn = [metric.combine(*(weights @ moment for moment in metric.moments_of(one.columns))) for one in every]
    images = [metric.moments_of(one.columns) for one in every[:: len(rows[0])]]
    each = [moments[0] - moments[1] if metric.folded else moments[0] for moments in images]
    shares = np.linspace(0, 1, QUANTILES)
    values = {
        "seeds": [[float(f"{float(metric.signed(one.columns)):.6g}") for one in row] for row in rows],
        "images": [[float(f"{value:.4g}") for value in line] for line in np.cov(drawn)] if name in HEADLINE else [],
        "quantiles": [[float(f"{value:.4g}") for value in np.quantile(one, shares)] for one in each],
    }  # fmt: skip
    return values if name in COVERED else {key: values[key] for key in ("seeds", "images")}


PARTS: dict[str, tuple[Sequence[str], Callable[[dict[str, Any], int], Iterator[list[str]]]]] = {
    "error": (("table", "column", "K = 3", "K = 5", "K = 3, collapsing", "K = 5, collapsing"), error_lines),
    "tried": (("tried", *("error", "3 dB worse", "typical") * 2), tried_lines),
    "deviations": (("table", "least", "greatest", "ratio"), deviation_lines),
    "decided": (("table", "rows", "pairs × columns", "protocol 1", "protocol 2"), decided_lines),
    "coverage": (("column", "N = 225, K = 3", "K = 5", "N = 10,000, K = 3", "K = 5"), coverage_lines),
}


def main() -> int:
    """Prints the figures; returns 1 where the family-wise error or the coverage misses what is wanted."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--part", choices=PARTS, help="print these figures alone")
    parser.add_argument("--extract", type=Path, help="a folder of results to make the data from")
    parser.add_argument("--results", type=Path, help="of `error` and `deviations`: a folder of today's results instead")
    parser.add_argument("--trials", type=int, default=1000)
    given = parser.parse_args()
    if given.extract:
        DATA.write_text(json.dumps(extract(given.extract), separators=(",", ":")) + "\n")
        return 0
    if given.results and given.part not in ("error", "deviations"):
        parser.error("--results goes with --part error or --part deviations")
    tables = current(given.results) if given.results else json.loads(DATA.read_text())["tables"]
    missed, as_in_tables = False, statistics.REFERENCE_DRAWS
    for part in [given.part] if given.part else PARTS:
        statistics.REFERENCE_DRAWS = as_in_tables if part == "decided" else SIMULATED_DRAWS
        heads, lines = PARTS[part]
        print(f"\n| {' | '.join(heads)} |\n|{'|'.join([':--', *['--:'] * (len(heads) - 1)])}|")
        for line in lines(tables, given.trials):
            print(f"| {' | '.join(line)} |", flush=True)
            shares = [float(cell.rstrip("%")) / 100 for cell in line if cell.endswith("%")]
            luck = 2 * np.sqrt(WANTED / given.trials)
            missed |= part == "error" and max(shares) > WANTED + luck
            missed |= part == "coverage" and min(shares) < WANTED_COVERAGE - luck
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
