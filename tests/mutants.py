"""Break the metrics and statistics one line at a time; every broken copy must turn a test red.

    python tests/mutants.py [--jobs N] [WORD ...]

Each mutation is made in a copy of the package in a temporary folder. WORD selects mutations by file or name. Exit 1 if
one survives, or if its text is no longer found: then the list is out of step with the code.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Mutant:
    """Replace `old` by `new`, the `nth` time it stands in the file (0 the first), and run one test module."""

    what: str
    file: str
    old: str
    new: str
    tests: str
    nth: int = 0


def of(file: str, tests: str, *changes: tuple[str, ...] | tuple[str, str, str, int]) -> list[Mutant]:
    """Mutants of one file, each (what, old, new[, nth])."""
    return [
        Mutant(str(what), file, str(old), str(new), tests, int(*rest) if rest else 0)
        for what, old, new, *rest in changes
    ]


MUTANTS = [
    *of(
        "evaluation/controls.py",
        "evaluation/test_controls",
        ("ties in any order", 'kind="stable"', 'kind="quicksort"', 0),
        ("the inverse", "taken[fixed] = moving", "taken[moving] = fixed"),
        ("no voxel is left", "ends - np.indices(shape)", "ends"),
        ("self is the test pairs", "if CONTROLS[control] is no_displacement:", "if False:"),
        ("as many pairs as there are", "return pairs[:MOST]", "return pairs"),
    ),
    *of(
        "evaluation/evaluate.py",
        "evaluation/test_controls",
        ("rows by the name of identity", 'spec.model_copy(update={"method": control})', "spec"),
        ("similarities before the warp", "float(similarity(fixed, after))", "float(similarity(fixed, before))"),
        ("no similarities", "for s in spec.similarities}", "for s in ()}"),
    ),
    *of(
        "models/predict.py",
        "training/test_final_run",
        ("an image and zeros", "register(model, image, image, (", "register(model, image, image * 0, ("),
    ),
    *of(
        "study/methods.py",
        "evaluation/test_controls",
        ("controls although not asked", "if self.config.controls else ()", "if True else ()"),
    ),
    *of(
        "study/job_specs.py",
        "evaluation/test_controls",
        ("similarities for all", "brings = method == IDENTITY and ", "brings = "),
        ("a control by itself", "if row.control:", "if False:"),
    ),
    *of(
        "report/tables/controls_table.py",
        "evaluation/test_controls",
        ("methods judge nothing", "in (scores[ranked].max(), scores[IDENTITY])", "in (scores[IDENTITY],)"),
        ("higher is always better", 'METRICS[name].direction == "higher" else -1', "True else -1"),
        ("all rows in print", 'entry["rank"] == 1 or entry["similarity"] is None', "True"),
        ("a table of no controls", "if not has_controls(summary):", "if False:"),
    ),
    *of(
        "report/caveats.py",
        "report/test_caveats",
        ("controls are warned of", 'if not entry.get("control")]', "]"),
        ("an edge without a lambda", 'if chosen.get("edge") and chosen["lam"] is not None', 'if chosen.get("edge")'),
        ("flat or not", 'if any(c.get("flat") for c in _searches(entry))', "if _searches(entry)"),
        ("the choice of the first search", 'entry.get("searches") or ', ""),
        ("displacement in mm", "STILL * min(spacing)", "STILL"),
        ("Dice of identity passes", "<= ALIKE", "< 0"),
        ("identity moves nothing", 'if entry["method"] != IDENTITY and moves', "if moves"),
        ("below identity too", "and not moves_nothing(entry, scene)", ""),
        ("one seed is enough", "if counts == {1}:", "if False:"),
        ("few seeds are enough", "max(counts) <= FEW_SEEDS", "max(counts) < 2"),
        ("few subjects are enough", "if 0 < len(subjects) < FEW_SUBJECTS:", "if False:"),
        ("within its error", "if share > max(LATE, 2 * error)", "if share > LATE"),
        ("a small share", "if share > max(LATE, 2 * error)", "if share > 2 * error"),
        ("the error of one", 'np.sqrt(np.sum([half["se"] ** 2 for half in halves])) / len(halves)', 'halves[0]["se"]'),
        ("the curve is asked all the same", "if gain + 2 * error < least:", "if False:"),
        ("a gain within the scatter", "gain > max(least, 2 * error)", "gain > least"),
        ("any doublings", "if not DOUBLINGS[0] <= doublings <= DOUBLINGS[1]:", "if not doublings:"),
        ("not for twice the steps", "float(np.mean(gains)) / doublings", "float(np.mean(gains))"),
        ("any trial", 'if trial["lam"] == nearest]', "]"),
        ("pruned trials", 'and trial["status"] == "complete"]', "]"),
        ("any package", "if name not in IDLE", "if True"),
        ("compiled or not", '"compiled losses": environment.get("compiled_losses"),', ""),
        ("ordered or not", '"repeatable": environment.get("repeatable"),', ""),
        ("any device", '"device": environment.get("device"),', ""),
        ("trials are not looked at", 'group(trial["environment"])["trials"].append(trial["number"])', "pass"),
        ("the fewest are the rest", "key=lambda origin: -origin.made", "key=lambda origin: origin.made"),
    ),
    *of(
        "training/convergence.py",
        "report/test_caveats",
        ("by the last step", "first - last", "first - values[-1]"),
        ("a curve that rose", "if fall <= 0:", "if False:"),
        ("no room", "if len(values) < SHORTEST or", "if len(values) < 6 or"),
        ("NaN", " or not np.isfinite(values).all()", ""),
        ("a slope is scatter", " - steps * (steps @ part) / (steps @ steps)", ""),
        ("the scatter of a step", " / len(part)))", "))"),
    ),
    *of(
        "metrics/displacement_errors.py",
        "metrics/test_displacement_errors",
        ("length in voxels", "return _mean_length_mm(displacement_array(displacement, voxels=1), None, spacing, mask)",
         "return _mean_length_mm(displacement_array(displacement, voxels=1), None, np.ones(len(spacing)), mask)"),
    ),
    *of(
        "metrics/inputs.py",
        "metrics/test_overlap",
        ("label 0 counts", "if 0 in wanted:", "if False:"),
        ("shapes may differ", "if maps[0].shape != maps[1].shape:", "if False:"),
        ("floats are labels", 'values.dtype.kind not in "iub"', 'values.dtype.kind not in "iubf"'),
    ),
    *of(
        "metrics/inputs.py",
        "metrics/test_hostile",
        ("half a label", "if wanted != given:", "if False:"),
        ("unsigned fields have no minus", "return field.astype(np.float64)", "return field"),
        ("bfloat16 as it comes", '== "torch.bfloat16"', '== "torch.none"'),
    ),
    *of(
        "metrics/displacement_errors.py",
        "metrics/test_hostile",
        ("NaN counts as sent outside", "if not (np.isfinite(there).all() and np.isfinite(back).all()):", "if False:"),
        ("infinitely far", "if count and np.isfinite(total)", "if count"),
    ),
    *of(
        "metrics/folding.py",
        "metrics/test_hostile",
        ("thin images are refused", "if thinnest >= 3 else None", "if True else None"),
        ("nothing to crop from", "if thinnest >= 5:", "if True:"),
    ),
    *of(
        "metrics/overlap.py",
        "metrics/test_overlap",
        ("without the two", "else 2 * in_both", "else in_both"),
        ("Jaccard", "+ in_moved.get(label, 0))", "+ in_moved.get(label, 0) - in_both.get(label, 0))"),
        ("absent counts as vanished", "if label in absent", "if False"),
        ("vanished counts as absent", "None if moving is None else label_counts(integers(moving))", "{}"),
        ("unwarped labels ignored", "if moving is None else label_counts(integers(moving))", "if True else {}"),
        ("NaN is averaged", "if not np.isnan(score)]", "]"),
        ("the easy 30 percent", "np.quantile(scores, 0.3)", "np.quantile(scores, 0.7)"),
    ),
    *of(
        "metrics/surface.py",
        "metrics/test_surface",
        ("mm for voxels", "points.T * scale for points", "points.T * 1.0 for points"),
        ("spacing reversed", "points.T * scale for points", "points.T * scale[::-1] for points"),
        ("the smaller direction", "return max(_percentile95", "return min(_percentile95"),
        ("another percentile", "(values.size - 1) * 0.95", "(values.size - 1) * 0.94"),
        ("directions averaged, not pooled", "np.concatenate(distances).mean()",
         "np.mean([part.mean() for part in distances])"),
        ("image edge is no surface", "along[0] = along[-1] = True", "pass"),
        ("one side of each border", "along[1:] |= changes", "pass"),
        ("vanished has no number", 'return float("inf")', 'return float("nan")'),
        ("absent is infinite", 'float("nan") if distances is None', 'float("inf") if distances is None'),
    ),
    *of(
        "metrics/surface_l2r.py",
        "metrics/test_surface",
        ("elements unweighted", "np.cumsum(areas[keys % len(areas)]) / areas[ranks[codes]].sum()",
         "np.arange(1, len(keys) + 1) / len(keys)"),
        ("another share", "SHARE = 0.95", "SHARE = 0.9"),
        ("the smaller direction", "return max(_weighted", "return min(_weighted"),
        ("hexagon for tripod", "(1, 1, 1, 3): 3 * sqrt(3) / 4", "(1, 1, 1, 3): sqrt(3) / 2"),
        ("vanished has no number", 'scores[label] = float("inf")', 'scores[label] = float("nan")'),
    ),
    *of(
        "metrics/determinants.py",
        "metrics/test_folding",
        ("components swapped, central", "[inner] for component in piece]", "[inner] for component in piece[::-1]]"),
        ("components swapped, forward", "columns.append(list(piece[ahead] - piece[(slice(None), *corner)]))",
         "columns.append(list((piece[ahead] - piece[(slice(None), *corner)])[::-1]))"),
        ("displacement for map", "column[axis] = column[axis] + 1", "pass"),
        ("one-sided inside", "max(start - 1, 0)", "start"),
        ("2D minor", "return a * d - b * c", "return a * d + b * c"),
        ("3D minor", "a[2] * b[0] - a[0] * b[2]", "a[0] * b[2] - a[2] * b[0]"),
    ),
    *of(
        "metrics/folding.py",
        "metrics/test_folding",
        ("< for <=", "np.count_nonzero(counted <= 0)", "np.count_nonzero(counted < 0)"),
        ("mask dropped, folds", "counted = determinants if inside is None else determinants[inside]",
         "counted = determinants"),
        ("mask dropped, sdlogj", "counted = determinants if inside is None else determinants[inside]",
         "counted = determinants", 1),
        ("mask dropped, forward", "else inside[(slice(None, -1),) * len(field)]",
         "else np.ones_like(inside[(slice(None, -1),) * len(field)])"),
        ("mask shifted, backward", "inside[(slice(1, None),)", "inside[(slice(None, -1),)"),
        ("backward is forward", "forward_determinant(-field[(slice(None), *mirrored)])[mirrored]",
         "forward_determinant(field)"),
        ("ddof of sdlogj", "logarithms.sum() / logarithms.size", "logarithms.sum() / (logarithms.size - 1)"),
        ("no clip", "np.maximum(counted, SMALLEST)", "np.abs(counted)"),
        ("l2r without its 3", "(slice(2, -2),) * determinants.ndim] + 3", "(slice(2, -2),) * determinants.ndim] + 0"),
        ("l2r crops one", "(slice(2, -2),)", "(slice(1, -1),)"),
        ("NaN folds nowhere", "return bool(np.isfinite(field).all())", "return True"),
    ),
    *of(
        "metrics/digital.py",
        "metrics/test_folding",
        ("< for <=", "outside_in = corner <= 0", "outside_in = corner < 0"),
        ("components swapped", "zip(piece, step, strict=True)", "zip(piece[::-1], step, strict=True)"),
        ("each cut counts whole", "100 * turned / 2 /", "100 * turned /"),
        ("no simplex factor", "/ factorial(counted.ndim) /", "/ counted.ndim /"),
        ("mask dropped above the bar", "outside_in if inside is None else outside_in & inside", "outside_in"),
        ("mask dropped below the bar", "int(np.count_nonzero(counted[(slice(1, -1),) * counted.ndim]))",
         "counted[(slice(1, -1),) * counted.ndim].size"),
        ("mask dropped from points", "(folded if inside is None else folded & inside)", "folded"),
        ("border voxels", "return Digital(100 * turned", "points += 1\n    return Digital(100 * turned"),
        ("a star missing", "((-1, -1, 0), (-1, 0, -1), (0, -1, -1)), ", ""),
        ("a star in the wrong cube", "(-1, -1, 0), (-1, 0, -1), (0, -1, -1)", "(1, -1, 0), (1, 0, -1), (0, -1, -1)"),
        ("four corners of eight", "yield triple(behind[0], normal)", "pass"),
        ("two triangles of four", "product((ahead, behind), repeat=2):\n            yield",
         "[(ahead, ahead), (behind, behind)]:\n            yield"),
        ("NaN folds nowhere", "if not np.isfinite(field).all():", "if False:"),
    ),
    *of(
        "metrics/displacement_errors.py",
        "metrics/test_displacement_errors",
        ("push for pull", "start.T + _sampled(field, start.T) - end.T", "start.T - _sampled(field, start.T) - end.T"),
        ("voxels for mm", "((difference * scale) ** 2)", "(difference**2)"),
        ("spacing reversed", "spacing_mm(spacing, len(difference)).", "spacing_mm(spacing, len(difference))[::-1]."),
        ("nearest for linear", "order=1", "order=0"),
        ("cubic for linear", "order=1", "order=3"),
        ("components swapped", "for part in field]", "for part in field[::-1]]", 1),
        ("Learn2Reg's components swapped", "for part in field]", "for part in field[::-1]]", 0),
        ("linear for Learn2Reg's cubic", "order=3", "order=1"),
        ("repeated beyond Learn2Reg's border", 'mode="constant"', 'mode="nearest"'),
        ("Learn2Reg's push for pull", "start.T + np.stack(components) - end.T",
         "start.T - np.stack(components) - end.T"),
        ("mask dropped, lengths", "length if inside is None else length[inside[row]]", "length"),
        ("mask dropped, inverse", "counted &= inside[start:stop]", "pass"),
        ("outside counted", "counted = ((landed >= 0) & (landed <= last)).all(0)",
         "counted = np.ones(landed.shape[1:], bool)"),
        ("back from the start", "_sampled(back, landed[:, counted])",
         "_sampled(back, landed[:, counted] - step[:, counted])"),
    ),
    *of(
        "statistics/looks.py",
        "statistics/test_looks",
        ("all is spent at once", "alpha * share**spending", "alpha"),
        ("each look as if it were the first", "total - paid, WIDEST", "total, WIDEST"),
        ("one-sided", "2 * ndtr(-bound / spread)", "ndtr(-bound / spread)"),
        ("a level of what is still open", "family.alpha / comparisons(scores)", "family.alpha / len(pairs)"),
        ("later runs are seen", "runs=looks.runs[number]", "runs=looks.runs[-1]"),
        ("nothing is given up", "more > 1 and chance >= looks.least_chance", "more > 1"),
        ("further runs behind the last look", "more > 1 and chance", "chance"),
        ("the half width of now", "of_runs / more**3", "of_runs"),
        ("the difference stays", "by_run * (1 - 1 / more)", "by_run * (1 - 1 / more) / 4"),
        ("equal is no decision", "differs + below(margin) - below(-margin)", "differs"),
    ),
    *of(
        "statistics/verdicts.py",
        "statistics/test_looks",
        ("the block of most methods", "return (methods - 1) * (units - 1) if methods and units else 0, methods",
         "return methods, units"),
    ),
    *of(
        "statistics/trade_off.py",
        "statistics/test_trade_off",
        ("falling regularity is pooled", "means[-1] > means[-2]", "means[-1] < means[-2]"),
        ("what a pair's regularity moves", " - exchange[:, None] * by_root", ""),
        ("no roots", "roots = np.sqrt(wanted)", "roots = wanted"),
        ("extrapolated", " & (roots >= knots.root[-1])", ""),
        ("the other side of the level", "spline(middle) > roots", "spline(middle) < roots"),
        ("a flat part", "np.minimum(slopes, STEEPEST * chords)", "slopes"),
        ("a flat begin", "np.where(steepest < 0, steepest, -np.inf)", "steepest"),
        ("levels at the ends", "MARGIN, 1 - MARGIN", "0, 1"),
        ("pairs without regularity", "np.isfinite(regularity).all(axis=0) & ~", "~"),
    ),
    *of(
        "statistics/paired.py",
        "statistics/test_statistics",
        ("one-sided", 'alternative="two-sided"', 'alternative="greater"'),
        ("zeros kept", "values = values[values != 0]\n    return float(wilcoxon", "return float(wilcoxon"),
        ("Bonferroni", "np.arange(len(order), 0, -1)", "len(order)"),
        ("Holm may fall", "np.maximum.accumulate(steps)", "steps"),
        ("sign of the effect", "np.sign(values)).sum()", "-np.sign(values)).sum()"),
        ("unranked effect", "ranks = rankdata(np.abs(values))\n    return", "ranks = np.ones(len(values))\n    return"),
        ("one-sided smallest p", "2.0 ** (1 - cases)", "2.0 ** -cases"),
        ("family ignored", "smallest_p(cases) * family > alpha", "smallest_p(cases) > alpha"),
        ("raw p decides", '"significant": adjusted <= alpha', '"significant": p <= alpha'),
        ("infinities differ", "where=a != b", "where=True"),
    ),
    *of(
        "statistics/bootstrap.py",
        "statistics/test_statistics",
        ("clusters ignored", "given = np.asarray(subjects)\n", "given = np.arange(cases)\n"),
        ("one subject of two", ".prod(2)", "[:, :, 0]"),
        ("sum for product", ".prod(2)", ".sum(2)"),
        ("one-sided level", "[(1 - level) / 2, (1 + level) / 2]", "[1 - level, level]"),
        ("atlas resampled", "if name not in atlas]", "]"),
    ),
    *of(
        "statistics/ranks.py",
        "statistics/test_statistics",
        ("direction ignored", '-values if direction == "higher" else values', "values"),
        ("direction ignored, stability", 'sign = -1 if by == "mean"', 'sign = 1 if by == "mean"'),
        ("direction ignored, tests", '(1 if direction == "higher" else -1)', "1"),
        ("critical difference", "/ np.sqrt(2)", "/ 2"),
        ("losses for wins", "if rank_biserial(difference) > 0", "if rank_biserial(difference) < 0"),
        ("cliques inside cliques", "if stop > reached and", "if"),
    ),
    *of(
        "statistics/two_way.py",
        "statistics/test_statistics",
        ("rows for columns", "of_rows = means.mean(2,", "of_rows = means.mean(1,"),
        ("interaction keeps main effects", "means - grand - of_rows - of_columns", "means - grand"),
        ("shares unweighted", "np.broadcast_to(part**2, shape).sum()", "(part**2).sum()"),
        ("incomplete cases kept", "[complete].reshape(", "[complete | ~complete].reshape("),
    ),
    *of(
        "statistics/spread.py",
        "statistics/test_statistics",
        ("ddof", "np.std(values, ddof=1)", "np.std(values, ddof=0)"),
        ("pooled ddof", "values.std(ddof=ddof)", "values.std(ddof=1)"),
        ("failed seeds averaged away", "mean(skipna=False)", "mean(skipna=True)"),
        ("cases for seeds", "seed_sd=_sd(values.mean(0))", "seed_sd=_sd(values.mean(1))"),
        ("seeds not averaged", "sd=_sd(values.mean(1))", "sd=_sd(values.ravel())"),
    ),
]  # fmt: skip


def copy_tree(folder: Path) -> None:
    """The package, the tests and the pytest settings."""
    for name in ("regbench", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)


def red(folder: Path, tests: str) -> bool:
    """Whether a test of a module fails in a copy."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", f"tests/{tests}.py"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    # 2 is a module that cannot even be imported: such a mutation proves nothing about the tests.
    if done.returncode not in (0, 1):
        raise RuntimeError(f"pytest must run {tests}, but ended with {done.returncode}:\n{done.stdout[-2000:]}")
    return done.returncode == 1


def survives(mutant: Mutant) -> str:
    """'' if a test turned red, otherwise what is wrong."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_tree(folder)
        path = folder / "regbench" / mutant.file
        parts = path.read_text().split(mutant.old)
        if len(parts) < mutant.nth + 2:
            return "its text is not in the file: bring this list up to date"
        before, after = mutant.old.join(parts[: mutant.nth + 1]), mutant.old.join(parts[mutant.nth + 1 :])
        path.write_text(before + mutant.new + after)
        return "" if red(folder, mutant.tests) else f"survived {mutant.tests}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1, help="mutants tested side by side")
    parser.add_argument("word", nargs="*", help="only mutants whose file or name holds one of these")
    options = parser.parse_args()
    chosen = [m for m in MUTANTS if not options.word or any(word in f"{m.file} {m.what}" for word in options.word)]
    with tempfile.TemporaryDirectory() as name:
        copy_tree(Path(name))
        for tests in dict.fromkeys(mutant.tests for mutant in chosen):
            if red(Path(name), tests):
                sys.stdout.write(f"{tests} must be green before anything is broken, but is red\n")
                return 1
    wrong = 0
    with ThreadPoolExecutor(options.jobs) as pool:
        for mutant, problem in zip(chosen, pool.map(survives, chosen), strict=True):
            sys.stdout.write(f"{'LIVES' if problem else 'dead '}  {mutant.file}: {mutant.what} {problem}\n")
            sys.stdout.flush()
            wrong += bool(problem)
    sys.stdout.write(f"{len(chosen) - wrong} of {len(chosen)} mutants turned a test red\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
