"""Draws what a run measured, a picture for each kind of work, as SVG and as PNG."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

from benchmarks.peers.catalogue import Build, Entrant
from benchmarks.peers.results import Results
from benchmarks.peers.works import MEASURES, Kind, Measure, Work

_COMPILED: Final = "#0b6e99"
_PURE: Final = "#7fb8d0"
_OTHER: Final = "#b5b5b5"
_PEERS: Final = {
    "raw": "#333333",
    "pyzmq": "#d1495b",
    "pyzmq-parts": "#e28a96",
    "websockets": "#8a6fb0",
    "websockets-uvloop": "#b9a6d3",
    "picows": "#3a9a6b",
}
_SPREAD: Final = "#999999"
_PANEL_WIDTH: Final = 5.4
_ROW_HEIGHT: Final = 0.24
_MARKERS: Final = "osD^v<>Phx*dp"


def draw(results: Results, directory: Path) -> list[Kind]:
    """Write the pictures, named after the kinds of work; return which there are."""
    directory.mkdir(parents=True, exist_ok=True)
    drawn = []
    with mpl.rc_context({"svg.hashsalt": "telex", "font.size": 9, "svg.fonttype": "none"}):
        for kind in Kind:
            works = [work for work in results.works if work.kind is kind]
            if works:
                figure = _lines(results, works) if kind is Kind.CONNECTIONS else None
                _save(figure or _bars(results, works), directory / kind)
                drawn.append(kind)
    return drawn


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
    figure.savefig(path.with_suffix(".png"), dpi=120, metadata={"Software": None})


def _bars(results: Results, works: list[Work]) -> Figure:
    """Draw a panel for each work and measure, the best on top."""
    panels = [(work, measure) for work in works for measure in MEASURES[works[0].kind]]
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    height = rows * (0.8 + _ROW_HEIGHT * len(results.entrants))
    figure = Figure(figsize=(_PANEL_WIDTH * columns, height), layout="constrained")
    figure.suptitle(works[0].kind.heading)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis, (work, measure) in zip(axes, panels, strict=False):
        _draw_panel(axis, results, work, measure)
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    return figure


def _draw_panel(axis: Any, results: Results, work: Work, measure: Measure) -> None:
    """Draw the medians, and how far the rounds are apart; rates differ by powers of ten."""
    measured = [
        (figure, entrant)
        for entrant in results.entrants
        if (figure := results.figure(work, measure, entrant.key)) is not None
    ]
    measured.sort(key=lambda pair: pair[0], reverse=not measure.is_better_high)
    for position, (figure, entrant) in enumerate(measured):
        samples = results.samples[work, measure, entrant.key]
        spread = [[figure - min(samples)], [max(samples) - figure]]
        colour = _colour(entrant)
        if measure is Measure.RATE:
            axis.errorbar(figure, position, xerr=spread, fmt="o", color=colour, ecolor=_SPREAD)
        else:
            axis.barh(position, figure, color=colour, xerr=spread, ecolor=_SPREAD)
    axis.set_yticks(range(len(measured)), [entrant.name for _figure, entrant in measured])
    axis.set_ylim(len(measured) - len(results.entrants) - 0.6, len(measured) - 0.4)
    if measure is Measure.RATE:
        _make_logarithmic(axis.xaxis, axis.set_xscale)
    axis.set_title(measure if work.label == work.kind else f"{work.label}: {measure}", fontsize=9)
    _make_light(axis)


def _lines(results: Results, works: list[Work]) -> Figure:
    """Draw how each measure goes with the number of connections."""
    measures = MEASURES[works[0].kind]
    figure = Figure(figsize=(_PANEL_WIDTH * len(measures), 5.6), layout="constrained")
    figure.suptitle(works[0].kind.heading)
    axes = figure.subplots(1, len(measures), squeeze=False)[0]
    for axis, measure in zip(axes, measures, strict=True):
        for entrant, marker in zip(results.entrants, itertools.cycle(_MARKERS), strict=False):
            points = [
                (work.connections, value)
                for work in works
                if (value := results.figure(work, measure, entrant.key)) is not None
            ]
            if points:
                style = {"marker": marker, "color": _colour(entrant), "label": entrant.name}
                axis.plot(*zip(*points, strict=True), **style)
        axis.set_title(measure, fontsize=9)
        _make_logarithmic(axis.xaxis, axis.set_xscale, digits=(1,))
        _make_logarithmic(axis.yaxis, axis.set_yscale)
        axis.set_xlabel("connections")
        _make_light(axis)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    return figure


def _make_logarithmic(
    axis: Any, set_scale: Callable[[str], None], digits: tuple[int, ...] = (1, 2, 5)
) -> None:
    """Scale an axis by powers of ten, with short numbers: 20k, 1M."""
    set_scale("log")
    axis.set_major_locator(LogLocator(subs=digits))
    axis.set_major_formatter(EngFormatter(sep=""))
    axis.set_minor_locator(NullLocator())


def _make_light(axis: Any) -> None:
    """Leave out what says nothing."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(alpha=0.3)
    axis.set_axisbelow(True)
    axis.tick_params(axis="x", labelsize=7)


def _colour(entrant: Entrant) -> str:
    if entrant.build is not None:
        return _COMPILED if entrant.build is Build.COMPILED else _PURE
    return _PEERS.get(entrant.key, _OTHER)
