"""What docs/findings.md says of the claims: verdicts, the comparisons behind them, and their controls."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import get_args

from markupsafe import Markup

from benchmark.paper.claims import Decided, Decision, Finding, Verdict, difference_text, verdict_text
from benchmark.paper.findings.facts import Facts
from benchmark.results.tables import NOTHING, Table, markdown_grid
from benchmark.support.templates import md

NOT_MEASURED = "not measured"
ELSEWHERE = "about other data"
DECIDING = 3  # number of comparisons shown for a verdict


def reported(facts: Facts) -> list[Decided]:
    """Returns the claims that a report states."""
    return [one for one in facts.claims if one.claim.reported]


def ours(facts: Facts) -> list[Decided]:
    """Returns the others: variants of a report's claim (an id with a word at its end), and what no report states."""
    return [one for one in facts.claims if not one.claim.reported]


def claim_lines(facts: Facts) -> str:
    """Returns a table of every claim, its verdicts, and the comparisons that decide each."""
    lines = [
        [decided.claim.id, decided.claim.origin, decided.claim.statement, verdict_text(decided), _decided_by(decided)]
        for decided in facts.claims
    ]
    return markdown_grid(("claim", "source", "what it says", "verdict", "decided by"), lines, left=5)


def attributions(facts: Facts) -> list[str]:
    """Returns, for each decided claim, which of its controls agree, and what is false beside it."""
    by_id = {decided.claim.id: decided for decided in facts.claims}
    lines: list[str] = []
    for decided in facts.claims:
        controls = [by_id[name] for name in decided.claim.controls if name in by_id]
        for one in (one for one in decided.decisions if one.verdict != "undecided"):
            of_controls, beside = _of_controls(decided, one, controls), _beside(one)
            # Of two claims that are each other's control, the first has said it.
            said = {
                f"{_verdict_on(control.claim.id, d)}, and so {_are([_named(decided.claim.id, one)])}."
                for control in controls
                for d in control.decisions
                if (d.data, d.preset) == (one.data, one.preset)
            }
            if of_controls and said.isdisjoint(lines):
                lines.append(of_controls + (f" Beside it, {beside}." if beside else ""))
            elif beside:
                lines.append(f"{_verdict_on(decided.claim.id, one)}, but beside it {beside}.")
    return lines


def _of_controls(decided: Decided, one: Decision, controls: Sequence[Decided]) -> str:
    """Returns whether a claim's controls have its verdict where it was decided; "" for a claim without any."""
    place, verdict = (one.data, one.preset), one.verdict
    found = [(c.claim.id, d) for c in controls for d in c.decisions if (d.data, d.preset) == place]
    where = _verdict_on(decided.claim.id, one)
    if not found:
        unmeasured = ", ".join(f"`{control.claim.id}`" for control in controls)
        its = f"control ({unmeasured}) is" if len(controls) == 1 else f"controls ({unmeasured}) are"
        return f"{where}; its {its} not measured there, so what the difference is due to is open." if controls else ""
    agree = [_named(name, other) for name, other in found if other.verdict == verdict]
    differ = [(name, other) for name, other in found if other.verdict != verdict]
    if agree and not differ:
        return f"{where}, and so {_are(agree)}."
    told = f"{where}, and so {_are(agree)}; " if agree else f"{where}, "
    if verdict != "supported":
        return f"{told}but {_verdicts(differ)}."
    if not agree:
        return f"{told}but {_verdicts(differ)}: it is not shown to which of its arms' differences that is due."
    return f"{told}{'; '.join(f'but {_verdicts([one])}: {_part(*one)}' for one in differ)}."


def _verdicts(controls: Sequence[tuple[str, Decision]]) -> str:
    return " and ".join(f"`{name}` is {one.verdict}{one.qualifier}" for name, one in controls)


def _part(name: str, control: Decision) -> str:
    """Returns by how many of its comparisons a control that has another verdict shows its part in the claim."""
    deciding = [one for one in control.findings if one.decides]
    holding = sum(one.outcome == "holds" for one in deciding)
    part = f"that what `{name}` names has a part in it is"
    if not holding:
        return f"{part} not shown"
    hold = "holds" if holding == 1 else "hold"
    return f"{holding} of its {len(deciding)} comparisons {hold}, so {part} shown in part at most"


def _verdict_on(name: str, one: Decision) -> str:
    return f"`{name}` is {one.verdict}{one.qualifier} on {one.data}/{one.preset}"


def _named(name: str, one: Decision) -> str:
    return f"`{name}`{one.qualifier}"


def _are(names: Sequence[str]) -> str:
    return f"{'is' if len(names) == 1 else 'are'} {', '.join(names)}"


def _beside(one: Decision) -> str:
    """Returns `“a better than b in psnr” is false (…) and “…” is false (…)` of what stands beside a supported claim."""
    return " and ".join(f"“{f.text}” is false ({_measured(f)})" for f in _false_beside(one))


def _false_beside(decision: Decision) -> list[Finding]:
    """Returns what is false beside a supported claim, and decides nothing."""
    supported = decision.verdict == "supported"
    return [one for one in decision.findings if supported and not one.decides and one.outcome == "is false"]


def doubtful(claims: Sequence[Decided], table: Table) -> list[str]:
    """Returns the ids of claims that are supported in one table, and beside which a comparison there is false."""
    place = (table.data, table.preset)
    return [
        decided.claim.id
        for decided in claims
        if any((one.data, one.preset) == place and _false_beside(one) for one in decided.decisions)
    ]


def in_part(claims: Sequence[Decided], table: Table) -> list[str]:
    """Returns `C5 is refuted in top1, and holds in fd_judge` of claims that are refuted there by some columns alone."""
    told = []
    for decided in claims:
        for one in decided.decisions:
            if (one.data, one.preset) == (table.data, table.preset) and one.verdict == "refuted":
                false, holds = _columns(one, "is false"), _columns(one, "holds")
                if holds and not {*false} & {*holds}:
                    told.append(f"{decided.claim.id} is refuted in {', '.join(false)}, and holds in {', '.join(holds)}")
    return told


def _columns(decision: Decision, outcome: str) -> list[str]:
    return [*dict.fromkeys(f"`{one.metric}`" for one in decision.findings if one.decides and one.outcome == outcome)]


def counted(claims: Sequence[Decided], table: Table) -> Mapping[str, int]:
    """Returns how many claims have each verdict in one table, borderline ones apart, and how many have none there."""
    kinds = [kind for verdict in get_args(Verdict) for kind in (verdict, f"{verdict} (borderline)")]
    counts = dict.fromkeys((*kinds, NOT_MEASURED, ELSEWHERE), 0)
    for decided in claims:
        found = [d for d in decided.decisions if (d.data, d.preset) == (table.data, table.preset)]
        borderline = " (borderline)" if found and found[0].borderline else ""
        without = NOT_MEASURED if table.data in decided.claim.data else ELSEWHERE
        counts[f"{found[0].verdict}{borderline}" if found else without] += 1
    return {verdict: count for verdict, count in counts.items() if count}


def _decided_by(decided: Decided) -> str:
    """Returns the comparisons that decide a claim in each table, or what is missing where no table decides it."""
    if len(decided.decisions) == 1:
        return _deciding(decided.decisions[0])
    if decided.decisions:
        return Markup("<br>".join(md(f"{one.data}/{one.preset}: {_deciding(one)}") for one in decided.decisions))
    if decided.unavailable:
        return f"missing: {', '.join(decided.unavailable)}"
    more = f" and {len(decided.to_run) - 1} more" if len(decided.to_run) > 1 else ""
    return f"to run: `{decided.to_run[0]}`{more}" if decided.to_run else NOTHING


def _deciding(decision: Decision) -> str:
    """Returns the comparisons behind the verdict: `cgan better than l2: psnr -0.27 [-0.32, -0.22], ssim …; 3 more`."""
    wanted = {"refuted": "is false", "supported": "holds", "undecided": "open"}[decision.verdict]
    found = [finding for finding in decision.findings if finding.outcome == wanted and finding.decides]
    parts = [_grouped(found[:DECIDING])]
    more = [f"{len(found) - DECIDING} more"] if len(found) > DECIDING else []
    for outcome in ("holds", "open"):
        rest = [finding for finding in decision.findings if finding.outcome == outcome != wanted and finding.decides]
        if rest:
            few = _grouped(rest) if len(rest) <= DECIDING else f"{len(rest)} comparisons"
            more.append(f"{outcome}: {few}")
    if beside := [finding for finding in decision.findings if not finding.decides]:
        more.append(f"beside: {_grouped(beside)}")
    thin = [f"fewer than three seeds: {', '.join(decision.thin)}"] if decision.thin else []
    return "; ".join([*parts, *more, *thin])


def _grouped(findings: Iterable[Finding]) -> str:
    """Returns `cgan better than l2: psnr -0.27 [-0.32, -0.22], ssim …; …`."""
    groups = groupby(findings, key=lambda one: one.text.removesuffix(f" in {one.metric}"))
    return "; ".join(f"{statement}: {', '.join(map(_measured, group))}" for statement, group in groups)


def notes(facts: Facts) -> list[str]:
    """Returns what must be known of each decided claim beside its verdict."""
    return [f"`{one.claim.id}`: {one.claim.note}" for one in facts.claims if one.decisions and one.claim.note]


def _measured(finding: Finding) -> str:
    return f"{finding.measures} {difference_text(finding)}"
