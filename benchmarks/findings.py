"""The tables and figures of docs/findings.md, from the published studies of results/reference/.

    python benchmarks/findings.py [--reference FOLDER] [--page FILE] [--figures FOLDER] [--check]

Reads tables, rows and trials of the published folders, and nothing else: anybody gets the same bytes. Each table stands
in the page between `<!-- table: NAME -->` and `<!-- end -->`, and is replaced there; `--check` only says which differ.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from lambda_findings import borrowed, flatness, rules
from published_studies import Published, claims, curves, read
from repetition_findings import AGAIN, agreement, repeated, together, usual_again
from verdict_findings import (
    counts,
    differences,
    means_of,
    one_seed,
    orders,
    predictions,
    regularity,
    stains,
    winners,
)

ROOT = Path(__file__).parent.parent
COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377")
OF_LANDMARKS = {"stains": stains}
TABLES = {
    "counts": counts,
    "differences": differences,
    "flatness": flatness,
    "borrowed": borrowed,
    "rules": rules,
    "one seed": one_seed,
    "winners": winners,
    "orders": orders,
    "regularity": regularity,
    "predictions": predictions,
    "agreement": agreement,
    "together": together,
    "usual again": usual_again,
}


def markdown(table: pd.DataFrame) -> str:
    """Rows of a table; a sentence where there is none."""
    if table.empty:
        return "No published study has it."
    lines = [list(table), ["---"] * table.shape[1], *table.astype(str).to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def with_tables(text: str, studies: list[Published]) -> str:
    """The page with its tables made anew.

    Raises:
        ValueError: if the page names a table that is none of `TABLES`.
    """

    def anew(found: re.Match[str]) -> str:
        name = found[1]
        tables = OF_LANDMARKS if name in OF_LANDMARKS else TABLES
        if name not in tables:
            raise ValueError(f"the page must name a table of {', '.join(TABLES | OF_LANDMARKS)}, but got `{name}`")
        chosen = [study for study in studies if study.of_labels == (tables is TABLES)]
        return f"<!-- table: {name} -->\n\n{markdown(tables[name](chosen))}\n\n<!-- end -->"

    return re.sub(r"<!-- table: ([^>]+?) -->.*?<!-- end -->", anew, text, flags=re.DOTALL)


def figures(studies: list[Published]) -> Iterator[tuple[str, mpl.figure.Figure]]:
    """Pictures of lambda, of `instance` beside the networks, and of the repetitions."""
    studies = [study for study in studies if study.of_labels]
    for study in [study for study in studies if not study.name.endswith(AGAIN)]:
        figure, axes = plt.subplots(
            1, len(study.models), figsize=(4.5 * len(study.models), 3.4), squeeze=False, layout="constrained"
        )
        for axis, model in zip(axes[0], study.models, strict=True):
            for logs, dice in curves(study, model).values():
                best = int(np.argmax(dice))
                axis.plot(logs - logs[best], dice - dice[best], color="#4477aa", alpha=0.5, linewidth=1)
            axis.axhspan(-study.region, 0, color="#ccbb44", alpha=0.3, linewidth=0)
            axis.set(title=model, xlabel="decades of lambda from the best", xlim=(-3, 3), ylim=(-0.05, 0.005))
        axes[0][0].set_ylabel("validation Dice below the best")
        yield f"findings_lambda_{study.name}", figure
        if len(study.models) > 1 and "instance" in study.models:
            network = next(model for model in study.models if model != "instance")
            figure, axis = plt.subplots(figsize=(4.6, 4.2))
            ours, theirs = means_of(study, network), means_of(study, "instance")
            parts = {name: name.split(".") for name in ours if name in theirs}
            marks = dict(zip(dict.fromkeys(regularizer for _, regularizer in parts.values()), "os^Dv<>", strict=False))
            colours = dict(zip(dict.fromkeys(similarity for similarity, _ in parts.values()), COLOURS, strict=False))
            for name, (similarity, regularizer) in parts.items():
                mark, colour = marks[regularizer], colours[similarity]
                axis.plot(theirs[name], ours[name], mark, color=colour, markersize=5, label=name, linestyle="none")
            axis.legend(fontsize=6, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
            axis.set(xlabel="mean Dice, instance", ylabel=f"mean Dice, {network}", title=study.name)
            yield f"findings_instance_{study.name}", figure
    for study, again in repeated(studies):
        figure, axes = plt.subplots(
            1, len(study.models), figsize=(4.2 * len(study.models), 4), squeeze=False, layout="constrained"
        )
        colours = {"better": "#228833", "worse": "#228833", "equal": "#4477aa", "undecided": "#bbbbbb"}
        for axis, model in zip(axes[0], study.models, strict=True):
            first, second = (claims(one, model) for one in (study, again))
            for verdict in ("undecided", "equal", "better", "worse"):
                pairs = [pair for pair in first if pair in second and first[pair][0] == verdict]
                places = [first[pair][1] for pair in pairs], [second[pair][1] for pair in pairs]
                axis.plot(*places, "o", color=colours[verdict], markersize=3)
            limits = axis.get_xlim()
            axis.plot(limits, limits, color="black", linewidth=0.5)
            axis.set(title=model, xlabel="difference of Dice, first")
        axes[0][0].set_ylabel("difference of Dice, again")
        yield f"findings_again_{study.name}", figure


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--reference", type=Path, default=ROOT / "results/reference")
    parser.add_argument("--page", type=Path, default=ROOT / "docs/findings.md")
    parser.add_argument("--figures", type=Path, default=ROOT / "docs/figures")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; status 1 where the tables of the page differ"
    )
    options = parser.parse_args()
    studies = [read(path.parent.parent) for path in sorted(options.reference.glob("*/tables/verdicts.csv"))]
    if not studies:
        sys.exit(f"`{options.reference}` must hold published studies, but holds none; `regbench publish` makes one.")
    before = options.page.read_text(encoding="utf-8")
    after = with_tables(before, studies)
    if options.check:
        print(
            "the tables are those of the studies" if after == before else f"`{options.page}` differs from the studies"
        )
        return int(after != before)
    options.page.write_text(after, encoding="utf-8")
    mpl.use("Agg")
    for name, figure in figures(studies):
        figure.savefig(options.figures / f"{name}.png", dpi=110, bbox_inches="tight", metadata={"Software": None})
        plt.close(figure)
        print(options.figures / f"{name}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
