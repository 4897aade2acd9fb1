"""The verdicts of a family as short clauses of English; none claims more than the verdicts do.

"Equal" is not transitive, and "better" holds for two levels alone. So a clause names a set as one only where every two
of its members stand in the same relation, and nothing is inferred over a third.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from itertools import combinations
from typing import TYPE_CHECKING

from regbench.report.comparison_entries import ComparisonEntry

if TYPE_CHECKING:  # scipy, which these words do not need
    from regbench.statistics.verdicts import Verdict

CONVERSE: "dict[Verdict, Verdict]" = {
    "better": "worse",
    "worse": "better",
    "equal": "equal",
    "undecided": "undecided",
}
MOST_CLAUSES = 4  # on decided pairs; another counts the verdicts that are left to the table
MOST_NAMED = 4  # levels of a clause where a shorter form says the same
MOST_STARS = 2  # on undecided pairs; instead of more, their number
Pair = tuple[str, str]
Clause = tuple[str, set[frozenset[str]]]  # and the pairs that it speaks of


class Relations:
    """Verdicts between every two of some levels, the best level first.

    Args:
        comparisons: of one family, each with ``a``, ``b``, ``verdict`` of a against b, and ``difference``.
        direction: of the metric, 'higher' or 'lower'.
    """

    def __init__(self, comparisons: Iterable[ComparisonEntry], direction: str = "higher") -> None:
        self.comparisons = {frozenset((one["a"], one["b"])): one for one in comparisons}
        self.verdicts: dict[Pair, Verdict] = {}
        lead: dict[str, float] = {}
        wins: dict[str, int] = {}
        for one in self.comparisons.values():
            a, b, verdict = one["a"], one["b"], one["verdict"]
            self.verdicts |= {(a, b): verdict, (b, a): CONVERSE[verdict]}
            ahead = (1 if direction == "higher" else -1) * (one["difference"] or 0)
            lead |= {a: lead.get(a, 0) + ahead, b: lead.get(b, 0) - ahead}
            won = {"better": 1, "worse": -1}.get(verdict, 0)
            wins |= {a: wins.get(a, 0) + won, b: wins.get(b, 0) - won}
        self.levels = sorted(lead, key=lambda level: (-wins[level], -lead[level]))

    def pairs(self, verdict: "Verdict", levels: Sequence[str] | None = None) -> list[Pair]:
        """The pairs of which the first stands so to the second; one of 'equal' and 'undecided' is given once."""
        both = combinations(self.levels if levels is None else levels, 2)
        turned = ((a, b) if self.verdicts.get((b, a)) != "better" else (b, a) for a, b in both)
        return [pair for pair in turned if self.verdicts.get(pair) == verdict]

    def blocks(self) -> list[list[str]]:
        """The finest parts of which each level is better than every level of all later parts."""
        blocks: list[list[str]] = []
        for place, level in enumerate(self.levels):
            before, after = self.levels[:place], self.levels[place:]
            if all(self.verdicts.get((a, b)) == "better" for a in before for b in after):
                blocks.append([])
            blocks[-1].append(level)
        return blocks

    def why(self, pairs: Sequence[Pair]) -> str:
        """In brackets: what would decide a pair, or why several are undecided where all have one reason."""
        ones = [self.comparisons[frozenset(pair)] for pair in pairs]
        if len(ones) == 1 and needed(ones[0]):
            return f" ({needed(ones[0])} would)"
        reasons = {one.get("reason") or "" for one in ones}
        reason = reasons.pop() if len(reasons) == 1 else ""
        return f" ({reason})" if reason and not reason.startswith("the interval") else ""


def clauses(relations: Relations, region: float | None, levels: str) -> list[str]:
    """The verdicts of a family in words: the order, what is equal, the rest of the order, what is undecided.

    Args:
        relations: of the family.
        region: half width of practical equivalence.
        levels: what they are, a plural, such as 'regularizers'.
    """
    blocks = relations.blocks()
    decisions = [_order(blocks, levels)] if len(blocks) > 1 else []
    for block in blocks:
        equal = _equal(relations.pairs("equal", block), block, region)
        decisions += equal + _partial(relations.pairs("better", block), block, after_equal=bool(equal))
    shown = decisions[:MOST_CLAUSES]
    decided = {frozenset(pair) for pair in (*relations.pairs("better"), *relations.pairs("equal"))}
    left = len(decided.difference(*(pairs for _, pairs in shown)))
    texts = [text for text, _ in shown] + ([f"the table of verdicts has {left} more"] if left else [])
    return texts + _undecided(relations, blocks, levels)


def needed(comparison: ComparisonEntry) -> str:
    """What would decide, as ``12 searches, or 6 searches and 60 pairs``; empty where the comparison is decided."""
    needs = comparison.get("needs")
    if not needs:
        return ""
    ways = [f"{needs['seeds']} {needs['unit']}"] if needs.get("seeds") else []
    if both := needs.get("both"):
        ways.append(f"{both['seeds']} {needs['unit']} and {both['pairs']} pairs")
    elif needs.get("pairs"):
        ways.append(f"{needs['pairs']} pairs")
    return ", or ".join(ways)


def listed(names: Sequence[str]) -> str:
    """``a, b and c``."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def subject(names: Sequence[str]) -> str:
    """``a is`` or ``a and b are``."""
    return f"{listed(names)} {'is' if len(names) == 1 else 'are'}"


def _order(blocks: Sequence[Sequence[str]], levels: str) -> Clause:
    """The order of parts: each level is better than all of later parts."""
    pairs = _between(combinations(blocks, 2))
    if len(blocks) == 2:
        for part, other, word in ((*blocks, "better"), (*blocks[::-1], "worse")):
            if len(part) == 1 and len(other) > MOST_NAMED:
                return f"{part[0]} is {word} than all other {levels}", pairs
        return f"{subject(blocks[0])} better than {listed(blocks[1])}", pairs
    if len(blocks) == 3:
        count = len(blocks[0]) + len(blocks[1])
        these = "both" if count == 2 else f"these {count}"
        both = f"{subject(blocks[0])} better than {listed(blocks[1])}"
        return f"{both}, and {these} are better than {listed(blocks[2])}", pairs
    chain = " > ".join(block[0] if len(block) == 1 else f"{{{', '.join(block)}}}" for block in blocks)
    return f"in the order {chain} each is better than all to its right", pairs


def _between(groups: Iterable[tuple[Sequence[str], Sequence[str]]]) -> set[frozenset[str]]:
    return {frozenset((a, b)) for one, other in groups for a in one for b in other}


def _equal(pairs: Sequence[Pair], block: Sequence[str], region: float | None) -> list[Clause]:
    """The largest sets of which every two are equal, until every equal pair is in one."""
    together, sets = {frozenset(pair) for pair in pairs}, list[Clause]()
    rest, within = set(together), "" if region is None else f" within {region:g}"
    while rest:
        # From every pair that is not named yet, grown level by level; the first of the largest.
        group = max((_grown(pair, block, together) for pair in pairs if frozenset(pair) in rest), key=len)
        named = {frozenset(pair) for pair in combinations(group, 2)}
        sets.append((f"{listed([level for level in block if level in group])} are equal{within}", named))
        rest -= named
    return sets


def _grown(pair: Pair, block: Sequence[str], together: Set[frozenset[str]]) -> list[str]:
    """A set around a pair of which every two are together."""
    group = list(pair)
    for level in block:
        if level not in group and all(frozenset((level, other)) in together for other in group):
            group.append(level)
    return group


def _partial(better: Sequence[Pair], block: Sequence[str], *, after_equal: bool) -> list[Clause]:
    """Who is better than whom, grouped by those who win alike or who lose alike; the largest groups first."""
    winners = _alike({a: [b for b in block if (a, b) in better] for a in block})
    losers = _alike({b: [a for a in block if (a, b) in better] for b in block})
    by_losers = len(losers) < len(winners) or (len(losers) == len(winners) and after_equal)
    word, groups = ("worse", losers) if by_losers else ("better", winners)
    groups = sorted(groups, key=lambda group: -len(group[0]) * len(group[1]))
    return [(f"{subject(ones)} {word} than {listed(others)}", _between([(ones, others)])) for ones, others in groups]


def _alike(related: Mapping[str, Sequence[str]]) -> list[tuple[list[str], list[str]]]:
    """Levels that are related to the same others, with these."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for level, others in related.items():
        if others:
            groups.setdefault(tuple(others), []).append(level)
    return [(ones, list(others)) for others, ones in groups.items()]


def _undecided(relations: Relations, blocks: Sequence[Sequence[str]], levels: str) -> list[str]:
    """Between whom nothing is decided, in few clauses; or else how many comparisons."""
    texts, named = list[str](), True
    for block in blocks:
        pairs = relations.pairs("undecided", block)
        if len(pairs) == 1 or (pairs and len(pairs) == len(block) * (len(block) - 1) // 2):
            between = [level for level in block if any(level in pair for pair in pairs)]
            texts.append(f"nothing is decided between {listed(between)}{relations.why(pairs)}")
        else:
            stars, rest = _stars(pairs, block)
            texts += stars
            named = named and not rest
    if named and len(texts) <= MOST_STARS:
        return texts
    return [
        f"{len(relations.pairs('undecided'))} of {len(relations.comparisons)} comparisons of {levels} are undecided"
    ]


def _stars(pairs: Sequence[Pair], block: Sequence[str]) -> tuple[list[str], list[Pair]]:
    """One level against several, the one with most first; and the pairs that are then not named."""
    texts, rest = list[str](), list(pairs)
    while rest and len(texts) < MOST_STARS:
        # The later of two levels with as many: it is the one that is asked about.
        centre = max(reversed(block), key=lambda level: sum(level in pair for pair in rest))
        others = [level for level in block if any({level, centre} == set(pair) for pair in rest)]
        if len(others) > MOST_NAMED:
            break
        texts.append(f"{centre} against {listed(others)} is undecided")
        rest = [pair for pair in rest if centre not in pair]
    return texts, rest
