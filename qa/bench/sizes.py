# SPDX-License-Identifier: LGPL-2.1-or-later
"""How large a run is: the whole one (some 20 minutes on two quiet cores of emulation), a quick one, a smoke test."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Seconds and counts of a run. @rows: those that are meant where none is named; None: all."""

    rounds: int = 3
    rows: tuple = None
    memory_mib: int = 3072
    disk_mib: int = 3072
    filesystems: tuple = (6, 32, 128)
    freezes: int = 2  # in each turn
    wake_seconds: int = 60
    mounts: tuple = (2000, 10000)
    calls: int = 3  # of guest-get-fsinfo, behind the first one
    curve: tuple = (1000, 10000, 50000)
    dirty_mib: int = 500
    endless_mib: int = 1024  # the size of each endless writer's file: more than can be dirty on its disk
    rate: int = 50 * 1000 * 1000
    before_seconds: float = 4
    after_seconds: float = 2


FULL = Sizes()
QUICK = Sizes(rounds=1, rows=("start", "wake-ups", "idle", "finite", "ext4", "mounts", "curve"), memory_mib=2048,
              filesystems=(6, 32), wake_seconds=10, mounts=(2000,), curve=(1000, 10000))
SMOKE = Sizes(rounds=1, rows=("start", "wake-ups", "ext4", "curve"), memory_mib=768, disk_mib=1024, filesystems=(6,), freezes=1,
              wake_seconds=1, mounts=(100,), curve=(100,), dirty_mib=20, endless_mib=300, before_seconds=1, after_seconds=0.5)
