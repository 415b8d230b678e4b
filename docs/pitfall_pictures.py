"""Draw the pictures of docs/pitfalls.md: each pitfall under both presets, in one chart.

``python docs/pitfall_pictures.py`` runs the ten scenarios twice each and draws them again, as
``docs/make_pictures.py`` does. The same scenarios and seeds give the same pictures.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

import fedsim
from fedsim.charts.figure import BLUE, GREY, PALE, PALETTE, VERMILLION, Chart, new_chart, tidy
from fedsim.results.run import Run

ROOT = Path(__file__).resolve().parent.parent
SCENARIOS = ROOT / "scenarios" / "pitfalls"
PICTURES = ROOT / "docs" / "pictures"
DPI = 80
STYLES = {"apr": (VERMILLION, "-"), "default": (BLUE, "--")}
Runs = dict[str, Run]


def both(path: Path) -> Runs:
    """Return the runs of a pitfall by preset."""
    return {
        preset: fedsim.simulate(fedsim.load(path, {"federation.preset": preset}))
        for preset in STYLES
    }


def chart_of(runs: Runs, title: str, height_in: float = 3.0) -> Chart:
    """Return an empty chart that says where its numbers come from."""
    run = runs["apr"]
    subtitle = f"{run.name}, seed {run.seed}, {len(run.requests):,} requests, both presets"
    return new_chart(title, subtitle, height_in)


def over_time(
    axes: Axes, runs: Runs, what: Callable[[pd.DataFrame], float], every_s: float
) -> None:
    """Draw a number of the requests of every span of time."""
    for preset, run in runs.items():
        colour, line = STYLES[preset]
        spans = (run.requests["arrived_s"] // every_s).astype(int)
        values = run.requests.groupby(spans)[["outcome", "node"]].apply(what)
        minutes = (values.index.to_numpy() + 0.5) * every_s / 60.0
        axes.plot(minutes, values, line, color=colour, lw=2.0, label=f"preset {preset}")
    axes.set_xlim(0.0, runs["apr"].duration_s / 60.0)
    axes.set_xlabel("minutes")
    tidy(axes)


def percent(axes: Axes, label: str) -> None:
    """Let the vertical axis be a share."""
    axes.set_ylim(-3.0, 103.0)
    axes.set_ylabel(label)


def fault(axes: Axes, begin_min: float, end_min: float, text: str) -> None:
    """Shade the time of a fault, and name it inside, or beside where there is no room."""
    axes.axvspan(begin_min, end_min, color=PALE, zorder=0)
    if end_min - begin_min > 0.5:
        middle = (begin_min + end_min) / 2.0
        axes.text(middle, 50.0, text, color=GREY, ha="center", va="center")
    else:
        axes.text(end_min + 0.04, 88.0, text, color=GREY)


def succeeded(requests: pd.DataFrame) -> float:
    """Return the percentage that succeeded."""
    return 100.0 * float((requests["outcome"] == "ok").mean())


def at(node: str) -> Callable[[pd.DataFrame], float]:
    """Return what gives the percentage that a node served."""
    return lambda requests: 100.0 * float((requests["node"] == node).mean())


def absorbing(runs: Runs) -> Chart:
    """Draw the success of requests around an outage."""
    chart = chart_of(runs, "After the outage the only node is well, and never used again")
    axes = chart.subplots()
    over_time(axes, runs, succeeded, 10.0)
    percent(axes, "succeed, %")
    fault(axes, 1.0, 2.0, "outage")
    axes.legend(loc="center right", frameon=False)
    return chart


def drained(runs: Runs) -> Chart:
    """Draw the share of a node that failed once."""
    chart = chart_of(runs, "A single error takes node-0 out of service for good")
    axes = chart.subplots()
    over_time(axes, runs, at("node-0"), 10.0)
    percent(axes, "served by node-0, %")
    fault(axes, 1.0, 1.0 + 1.0 / 60.0, "one error")
    axes.legend(loc="upper right", frameon=False)
    return chart


def starved(runs: Runs) -> Chart:
    """Draw the share of a node that came later."""
    chart = chart_of(runs, "The node that comes up at minute 1 is never used")
    axes = chart.subplots()
    over_time(axes, runs, at("scale-out-0"), 10.0)
    percent(axes, "by scale-out-0, %")
    fault(axes, 0.0, 1.0, "not up yet")
    axes.legend(loc="upper right", frameon=False)
    return chart


def promoted(runs: Runs) -> Chart:
    """Draw where retries go."""
    chart = chart_of(runs, "A retry goes back to the node that has just failed", 2.4)
    axes = chart.subplots()
    for row, run in enumerate(runs.values()):
        attempts = run.attempts
        before = attempts.groupby("request_id", observed=True)["node"].shift()
        again = (attempts["node"] == before)[attempts["attempt"] > 1]
        count, share = len(again), 100.0 * again.mean()
        axes.barh(row, share, color=VERMILLION, height=0.55)
        axes.barh(row, 100.0 - share, left=share, color=BLUE, height=0.55)
        text = f"{share:.0f} % of {count} retries to the same node"
        axes.text(1.5, row, text, color="white", va="center", weight="bold")
    axes.set_yticks([0, 1], [f"preset {preset}" for preset in runs])
    axes.set_ylim(1.5, -0.5)
    axes.set_xlim(0.0, 100.0)
    axes.set_xlabel("retries, %: to the node that has just failed (red), to the other one (blue)")
    tidy(axes, grid=None)
    return chart


def circuits(run: Run) -> Iterator[tuple[float, float, str]]:
    """Yield the times in minutes between which the circuit of node-0 was not closed."""
    events = run.events[(run.events["kind"] == "breaker") & (run.events["subject"] == "node-0")]
    times = [*events["time_s"] / 60.0, run.duration_s / 60.0]
    for begin, end, state in zip(times[:-1], times[1:], events["after"], strict=True):
        if state != "closed":
            yield begin, end, str(state)


def unreached(runs: Runs) -> Chart:
    """Draw the share of a node that failed, and its circuit."""
    chart = chart_of(runs, "Health gives the node up before the breaker could bring it back", 3.6)
    top, bottom = chart.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    over_time(top, runs, at("node-0"), 10.0)
    percent(top, "served by node-0, %")
    top.set_xlabel("")
    fault(top, 1.0, 2.0, "errors")
    top.legend(loc="upper right", frameon=False)
    colours = {"open": GREY, "half_open": PALETTE[4]}
    for row, (preset, run) in enumerate(runs.items()):
        bottom.barh(row, run.duration_s / 60.0, color=PALE, height=0.6)
        for begin, end, state in circuits(run):
            bottom.barh(row, end - begin, left=begin, color=colours[state], height=0.6)
        opened = sum(state == "open" for _, _, state in circuits(run))
        bottom.text(5.95, row, f"{preset}: opened {opened} times", ha="right", va="center")
    bottom.set_yticks([])
    bottom.set_ylim(1.5, -0.5)
    bottom.set_ylabel("circuit")
    bottom.set_xlabel("minutes; circuit closed (pale), open (grey), half-open (orange)")
    tidy(bottom, grid=None)
    return chart


def locked_out(runs: Runs) -> Chart:
    """Draw the number of requests served."""
    chart = chart_of(runs, "Seven slow answers, and the node is excluded for ever")
    axes = chart.subplots()
    for preset, run in runs.items():
        colour, line = STYLES[preset]
        done_s = np.sort(run.requests.loc[run.requests["outcome"] == "ok", "finished_s"])
        minutes = np.append(done_s, run.duration_s) / 60.0
        served = np.append(np.arange(1, len(done_s) + 1), len(done_s))
        axes.step(
            minutes, served, line, where="post", color=colour, lw=2.0, label=f"preset {preset}"
        )
    axes.set_xlabel("minutes")
    axes.set_ylabel("requests served so far")
    axes.set_xlim(0.0, 10.0)
    axes.set_ylim(0.0, None)
    tidy(axes)
    axes.legend(loc="upper left", frameon=False)
    return chart


def never_healthy(runs: Runs) -> Chart:
    """Draw how many nodes are degraded."""
    chart = chart_of(runs, "All nodes count as degraded, so that the one that is does not show")
    axes = chart.subplots()
    axes.step([0.0, 3.0, 6.0], [0, 1, 1], ":", where="post", color=GREY, lw=4.0, label="the truth")
    for preset, run in runs.items():
        colour, line = STYLES[preset]
        events = run.events[run.events["kind"] == "health"]
        steps = (events["after"] == "degraded").astype(int) - (events["before"] == "degraded")
        minutes = [0.0, *events["time_s"] / 60.0, 6.0]
        counts = [0, *steps.cumsum(), steps.sum()]
        axes.step(
            minutes, counts, line, where="post", color=colour, lw=2.0, label=f"preset {preset}"
        )
    axes.set_xlabel("minutes; node-3 is slow from minute 3 on")
    axes.set_ylabel("degraded nodes, of 4")
    axes.set_xlim(0.0, 6.0)
    axes.set_ylim(-0.1, 4.3)
    tidy(axes)
    axes.legend(loc="center right", frameon=False)
    return chart


def herd(runs: Runs) -> Chart:
    """Draw the requests on each node over a minute."""
    chart = chart_of(runs, "All requests of a moment go to one node, which fills up", 3.4)
    panels = chart.subplots(1, 2, sharey=True)
    for axes, (preset, run) in zip(panels, runs.items(), strict=True):
        nodes = run.nodes[run.nodes["time_s"].between(120.0, 180.0)]
        for place, (name, node) in enumerate(nodes.groupby("node", observed=True)):
            on_node = node["running"] + node["queued"]
            axes.plot(
                node["time_s"] - 120.0, on_node, color=PALETTE[place], lw=1.6, label=str(name)
            )
        axes.axhline(8, color=GREY, lw=1.0, ls=":")
        axes.set_title(f"preset {preset}", fontsize=10)
        axes.set_xlabel("seconds after minute 2")
        tidy(axes)
    panels[0].set_ylabel("on the node (8 slots)")
    panels[1].legend(loc="upper right", frameon=False)
    return chart


def unregistered(runs: Runs) -> Chart:
    """Draw the success of requests while the first node fails."""
    chart = chart_of(runs, "Four attempts at the failing node, none at the idle one beside it")
    axes = chart.subplots()
    over_time(axes, runs, succeeded, 30.0)
    axes.set_ylabel("succeed, %")
    axes.set_ylim(60.0, 101.0)
    axes.axvspan(2.0, 6.0, color=PALE, zorder=0)
    axes.text(2.1, 62.0, "node-0 fails 60 % of its requests", color=GREY)
    axes.legend(loc="lower right", frameon=False)
    return chart


def unread(runs: Runs) -> Chart:
    """Draw the distribution of latencies against the bound of the requests."""
    chart = chart_of(runs, "Requests that may take 500 ms go to nodes that take longer")
    axes = chart.subplots()
    for preset, run in runs.items():
        colour, line = STYLES[preset]
        latencies_s = np.sort(run.in_window["latency_s"])
        shares = 100.0 * np.arange(1, len(latencies_s) + 1) / len(latencies_s)
        axes.plot(latencies_s, shares, line, color=colour, lw=2.0, label=f"preset {preset}")
    axes.axvline(0.5, color=GREY, lw=1.2)
    axes.annotate("max_latency", (0.5, 50.0), xytext=(4, 0), textcoords="offset points", color=GREY)
    axes.set_xlim(0.0, 1.5)
    axes.set_xlabel("latency, s")
    percent(axes, "took at most that, %")
    tidy(axes)
    axes.legend(loc="lower right", frameon=False)
    return chart


DRAWN = (
    absorbing,
    drained,
    starved,
    promoted,
    unreached,
    locked_out,
    never_healthy,
    herd,
    unregistered,
    unread,
)
"""What draws each pitfall, in order."""


def main() -> None:
    """Draw them all."""
    for path, draw in zip(sorted(SCENARIOS.glob("*.yaml")), DRAWN, strict=True):
        picture = PICTURES / f"pitfall-{path.stem}.png"
        draw(both(path)).savefig(picture, dpi=DPI, metadata={"Software": None})
        print(picture.relative_to(ROOT).as_posix())


if __name__ == "__main__":
    main()
