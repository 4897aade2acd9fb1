"""The figures of a study as SVG and PNG, each with the CSV behind it."""

from regbench.system.plain_figures import load_matplotlib

load_matplotlib()  # before any module of this room imports it by the settings of the user
