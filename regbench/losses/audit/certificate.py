"""The whole audit, and the quick half of it that a config's check asks."""

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import torch

from regbench.losses.audit import (
    consistency_probes,
    contract_probes,
    gradient_probes,
    matrix_probes,
    regularizer_probes,
    similarity_probes,
)
from regbench.losses.audit.audited import Audited
from regbench.losses.audit.bench import Bench
from regbench.losses.audit.cost import cost
from regbench.losses.audit.findings import Certificate, Finding, Kind
from regbench.losses.audit.relatives import Relation, relations, rows, sentence


class Probe(Protocol):
    """Looks at one thing."""

    __name__: str

    def __call__(self, bench: Bench, /) -> Iterator[Finding]:
        """What it sees."""


CONTRACT: tuple[Probe, ...] = (
    contract_probes.leaves_arguments_alone,
    contract_probes.repeatable,
    contract_probes.batch,
)
# What decides within a second whether a study may use it.
QUICK: Mapping[Kind, tuple[Probe, ...]] = {
    "similarity": (
        similarity_probes.sign_and_range,
        similarity_probes.identical,
        similarity_probes.axes,
        gradient_probes.constants,
    ),
    "regularizer": (regularizer_probes.rest, regularizer_probes.translation, regularizer_probes.axes),
    "affine_regularizer": (matrix_probes.identity, matrix_probes.entries),
    "consistency": (regularizer_probes.rest, consistency_probes.inverses, regularizer_probes.axes),
}
PRECISION: tuple[Probe, ...] = (
    gradient_probes.finite_differences,
    gradient_probes.order_one,
    gradient_probes.half,
)
SLOW: Mapping[Kind, tuple[Probe, ...]] = {
    "similarity": (
        similarity_probes.invariance,
        similarity_probes.symmetry,
        similarity_probes.window,
        similarity_probes.border,
        similarity_probes.resolution,
        *PRECISION,
        gradient_probes.unscaled,
    ),
    "regularizer": (
        regularizer_probes.checkerboard,
        regularizer_probes.growth,
        regularizer_probes.resolution,
        *PRECISION,
    ),
    "affine_regularizer": (matrix_probes.turned, *PRECISION),
    "consistency": (consistency_probes.order, regularizer_probes.growth, regularizer_probes.resolution, *PRECISION),
}


def audit(audited: Audited, watch: Callable[[str], None] | None = None) -> Certificate:
    """The certificate of a function: everything that the probes see.

    Args:
        audited: as `resolve` makes it.
        watch: is given the name of each probe before it begins.
    """
    watch = watch or (lambda _: None)
    bench = Bench(audited)
    opened = _opened(bench)
    if _broken(opened):
        return _certificate(bench, {}, opened)
    window = similarity_probes.reach(bench) if audited.kind == "similarity" else None
    watch("relatives")
    nearest = relations(bench, window)
    findings = opened + _asked(bench, (*QUICK[audited.kind], *CONTRACT, *SLOW[audited.kind]), watch)
    if not bench.of_matrices:
        watch("cost")
        findings += list(cost(bench, nearest))
    return _certificate(bench, nearest, findings)


def quick(audited: Audited) -> list[Finding]:
    """The half that a config's check asks: what would make a training wrong, without raw intensities and cost."""
    bench = Bench(audited)
    opened = _opened(bench)
    return opened if _broken(opened) else opened + _asked(bench, (*QUICK[audited.kind], *CONTRACT))


def _opened(bench: Bench) -> list[Finding]:
    """Whether it can be called at all, and differentiated."""
    findings = [*contract_probes.form(bench), *contract_probes.runs(bench)]
    return findings if _broken(findings) else findings + list(contract_probes.differentiable(bench))


def _broken(findings: list[Finding]) -> bool:
    return any(finding.verdict == "fail" for finding in findings)


def _asked(bench: Bench, probes: tuple[Probe, ...], watch: Callable[[str], None] = lambda _: None) -> list[Finding]:
    findings = []
    for probe in probes:
        watch(probe.__name__.replace("_", " "))
        findings += list(probe(bench))
    return findings


def _certificate(bench: Bench, nearest: Mapping[int, Relation], findings: list[Finding]) -> Certificate:
    environment = {
        "torch": torch.__version__,
        "device": "cpu",
        "threads": str(torch.get_num_threads()),
    }
    audited = bench.audited
    return Certificate(
        audited.name,
        audited.kind,
        dict(audited.parameters),
        bench.adapter,
        sentence(nearest),
        rows(nearest),
        tuple(findings),
        tuple(environment.items()),
    )
