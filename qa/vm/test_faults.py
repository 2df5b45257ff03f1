# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every fault of the matrix once, at its worst stage, and 30 freezes of the random walk; `qa/vm/faults` runs them at
every stage, and walks for as long as one likes."""

import itertools
import os
from pathlib import Path

import pytest

import image
from conftest import need_ours
from fault_matrix import matrix, stages, walk
from fault_matrix.fault import ROWS

FAULTS = matrix.all_faults()


@pytest.fixture(scope="module")
def arenas(pytestconfig):
    """A guest for each row, as the cases come; a new one where a case broke it."""
    need_ours(pytestconfig)
    made = matrix.Arenas(Path(pytestconfig.getoption("--builddir")).resolve(), pytestconfig.getoption("--keep"))
    yield made
    made.drop()


def needs_of(row):
    return tuple(dict.fromkeys(need for fault in FAULTS if fault.row == row for need in fault.needs))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.name}-at-{fault.worst}")
def test_a_fault_leaves_nothing_frozen_and_nobody_deceived(request, arenas, fault):
    if fault.worst in stages.MISSING:
        pytest.skip(stages.MISSING[fault.worst])
    try:
        arena = arenas.take(needs_of(fault.row), fault.own_guest)
    except image.Unavailable as error:
        pytest.skip(f"no guest here: {error}")
    request.node.guest = arena.guest
    result = matrix.run_cell(arena, fault, fault.worst)
    assert result.word == matrix.PASSED, result.reason


def test_what_is_left_out_of_the_matrix_has_a_reason():
    """A combination that makes no sense says why."""
    for fault in FAULTS:
        assert all(len(reason) > 10 for reason in fault.senseless.values()), fault.name
        assert fault.stages, fault.name


def test_a_seed_and_a_list_of_steps_decide_the_walk():
    """Else a failure could not be looked at again."""
    def of(seed):
        return [str(step) for step in itertools.islice(walk.draw(FAULTS, seed), 300)]
    assert of(7) == of(7) != of(8)
    assert [str(step) for step in walk.parse(" ".join(of(7)), FAULTS)] == of(7)
    drawn = {name for step in of(7) for name in step.partition("@")[0].split("+")}
    assert {fault.row for fault in FAULTS if fault.name in drawn} == set(ROWS)


def test_a_random_walk_of_thirty_freezes(request, arenas):
    """Another one than ever: SNAPFREEZE_FAULTS_SEED=NUMBER."""
    seed = int(os.environ.get("SNAPFREEZE_FAULTS_SEED", walk.SEED))
    print(f"seed {seed}")
    taken = walk.Walk(arenas, FAULTS, walk.draw(FAULTS, seed))
    while taken.freezes < 30 and not taken.failures:
        try:
            taken.step()
        except image.Unavailable as error:
            pytest.skip(f"no guest here: {error}")
        request.node.guest = arenas.arena.guest
    taken.finish()
    assert not taken.failures, taken.told()
