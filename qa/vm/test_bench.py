# SPDX-License-Identifier: LGPL-2.1-or-later
"""qa/bench/run in small: that it measures both agents and shows what it measured. Never how fast anything is."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import conftest

BENCH = Path(__file__).resolve().parent.parent / "bench"
sys.path.insert(0, str(BENCH))

import picture  # noqa: E402
import show  # noqa: E402
import stalls  # noqa: E402

AGENTS = ["qemu-ga", "snapfreeze"]


def run_bench(*options, **environment):
    return subprocess.run([sys.executable, str(BENCH / "run"), *map(str, options)], capture_output=True, text=True, timeout=900,
                          env={**os.environ, **environment})


def test_a_small_run_shows_both_agents_in_table_json_and_picture(pytestconfig, tmp_path):
    conftest.need_ours(pytestconfig)
    wanted = ["--picture", tmp_path / "stalls.svg"] if shutil.which("gnuplot") else []
    result = run_bench("--smoke", "--json", tmp_path / "all.json", "--builddir", pytestconfig.getoption("--builddir"), *wanted)
    assert result.returncode == 0, result.stderr

    found = json.loads((tmp_path / "all.json").read_text())
    assert set(found["rows"]["wake-ups in 1 s, host side closed"]) == set(AGENTS)
    for row in ("guest-ping, ms", "memory (PSS) idle, KiB", "freeze, curve: 100 mounts, ms",
                "endless writers, ext4: freeze answers, ms", "endless writers, ext4: longest stall, fsync, ms"):
        assert set(found["rows"][row]) == set(AGENTS), row
        assert all(number > 0 for agent in AGENTS for number in found["rows"][row][agent]), row
        assert row in result.stdout
    assert set(found["rows"]["endless writers, ext4: flush-ms"]) == {"snapfreeze"}
    for agent in AGENTS:
        (run,) = found["stalls"]["endless, ext4"][agent]
        assert set(run["by-phase"]) == {"plain", "fsync", "endless"}
        for phases in run["by-phase"].values():
            # Who writes all the time stood still while it was held: 1 s.
            assert phases["hold"] > 900
            assert set(phases) == set(stalls.PHASES) - ({"flush"} if agent == "qemu-ga" else set())
        assert len(run["writes"]) == 6
    if wanted:
        drawn = (tmp_path / "stalls.svg").read_text()
        for agent in AGENTS:
            assert f"endless, ext4: {agent}" in drawn


def test_a_picture_without_gnuplot_says_what_is_missing_before_anything_is_measured(tmp_path):
    result = run_bench("--picture", tmp_path / "x.svg", PATH=str(tmp_path))
    assert result.returncode == 1
    assert "gnuplot" in result.stderr and "qa/vm/install-tools bench" in result.stderr


def test_a_stall_counts_for_each_phase_with_its_part_there():
    phases = stalls.phases(asked=100, flushed=300, frozen=350, thaw_asked=1350, begin=0, end=2000)
    writes = [(0, 20), (90, 310), (320, 1400)]
    assert stalls.by_phase(writes, phases) == {"before": 20, "flush": 200, "freeze": 30, "hold": 1000, "thaw": 50}
    assert stalls.longest(writes, since=100) == 1080
    without = stalls.phases(asked=100, flushed=None, frozen=350, thaw_asked=1350, begin=0, end=2000)
    assert stalls.by_phase(writes, without) == {"before": 20, "freeze": 210, "hold": 1000, "thaw": 50}


def test_the_table_has_medians_and_ratios_and_says_where_an_agent_has_no_figure():
    text = show.rows_table({"both": {"qemu-ga": [10, 40, 20], "snapfreeze": [5, 5, 8]}, "ours": {"snapfreeze": [1]},
                            "none": {"qemu-ga": [0], "snapfreeze": [3]}})
    both, ours, none = text.splitlines()[1:]
    assert "20.0 (10.0 to 40.0)" in both and "5.0 (5.0 to 8.0)" in both and both.endswith(" 0.250")
    assert ours.split()[1] == "-" and ours.endswith(" -")
    assert none.endswith(" -")


def test_the_picture_has_the_same_scales_for_both_agents_and_room_for_one_that_was_not_measured():
    def run(length):
        return {"phases": {"before": (-1000, 0), "freeze": (0, length), "hold": (length, 1000 + length)},
                "writes": {"plain load-a": [(0, length)]}}
    text = picture.script("x.svg", {"one": {"qemu-ga": [run(3000)], "snapfreeze": [run(200)]}, "two": {"snapfreeze": [run(100)]}},
                          "svg")
    assert text.count("set xrange [-1.0:4.0]") == 2 and text.count("set yrange [0:3.1500000000000004]") == 2
    assert text.count("set multiplot next") == 1 and "layout 2,2" in text
