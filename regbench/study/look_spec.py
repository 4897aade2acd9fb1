"""What a look depends on; by itself, so that the fingerprints of trainings do not hold it."""

from regbench.study.specs import GoalSpec, Spec


class LookSpec(Spec):
    """What a look at the cells of a model depends on, beside the rows of their runs and the looks before it.

    Attributes:
        look: its number, from 1 on.
        counts: units of a cell at each look, the last is the most.
        regions: half width of practical equivalence of each metric that has one.
        best: whether a cell that another has beaten gets no more.
    """

    look: int
    methods: tuple[str, ...]
    counts: tuple[int, ...]
    searches: bool
    objective: GoalSpec
    regions: dict[str, float]
    code: str
    best: bool = False
