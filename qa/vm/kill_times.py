#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""How long after kill -9 of the agent, and of the freezer, everything is writable: kill_times.py BUILDDIR [ROUNDS].

Measured inside the guest: one shell kills, and becomes the program that writes.
"""

import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))


def measure(guest, agent, rounds, how):
    """Milliseconds by @how (of holding.py), agent and freezer alternately; the agent runs again afterwards."""
    from holding import ALL
    times = []
    for turn in range(rounds):
        assert agent.freeze() == len(ALL)
        assert guest.blocked(ALL, timeout=0.3) == ALL
        pid = agent.freezer_pid if turn % 2 else agent.pid
        times.append(how(guest, before=f"kill -9 {pid}"))
        if turn % 2:
            guest.wait_for(lambda: agent.status() == "thawed")
        else:
            agent.job.wait(60)
            agent.restart()
        # The old freezer may still be on its way out.
        guest.wait_for(lambda: agent.call("snapfreeze-status")["state"] in ("thawed", "expired"))
    return times


def main(builddir, rounds=50):
    import agents
    import disks
    from guest import Guest
    from holding import write_ms
    with Guest(disks.layout(), builddir=Path(builddir).resolve()) as guest:
        guest.run("/qa/set-up-disks", timeout=300)
        times = measure(guest, agents.Snapfreeze(guest).start(), int(rounds), write_ms)
    for who, mine in (("agent", times[::2]), ("freezer", times[1::2]), ("both", times)):
        print(f"kill -9 of {who}: worst of {len(mine)} {max(mine):.1f} ms, median {statistics.median(mine):.1f} ms")


if __name__ == "__main__":
    main(*sys.argv[1:])
