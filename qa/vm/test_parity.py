# SPDX-License-Identifier: LGPL-2.1-or-later
"""qa/parity in the shared guest: nothing differs from qemu-ga but what is listed, and nothing is listed in vain."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "parity"))

import parity  # noqa: E402

RESULTS = []


@pytest.mark.parametrize("family", parity.FAMILIES, ids=lambda family: family.name.replace(" ", "-"))
def test_what_differs_from_qemu_ga_does_so_on_purpose(guest, make_agent, family):
    make_agent(guest)  # skips where ours is not built
    result = parity.run(guest, family)
    RESULTS.append(result)
    assert result.differs == []


def test_what_is_listed_as_on_purpose_is_seen():
    assert [entry.reason for entry in parity.stale(RESULTS)] == []
