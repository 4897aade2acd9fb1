"""The colours of methods in MLflow's charts: how each stands against the best of its model."""

from regbench.report.standings import Standing

COLOUR = "mlflow.runColor"  # the tag that MLflow's pages take the colour of a run from, in charts and beside its name
# Okabe and Ito: distinct for colour-blind readers. Worse is grey: what is left to choose from stands out.
COLOURS: dict[Standing, str] = {"best": "#009E73", "equal": "#56B4E9", "undecided": "#E69F00", "worse": "#999999"}
NOT_COMPARED = "#000000"  # no registration, baselines, and what is not analysed yet
# Title of the charts of the leading metrics: MLflow has no place for a legend, and cuts a title after some 54 letters.
LEGEND = "green best, blue equal, orange undecided, grey worse"


def colour(standing: Standing | None) -> str:
    """The colour of a method."""
    return NOT_COMPARED if standing is None else COLOURS[standing]
