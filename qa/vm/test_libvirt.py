# SPDX-License-Identifier: LGPL-2.1-or-later
"""A real libvirtd drives a guest with our agent (qa/libvirt): each of its cases, in one guest for all."""

import sys
from pathlib import Path

import pytest

import conftest
import image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "libvirt"))
pytest.register_assert_rewrite("telling", "freezing", "losing", "copying", "one_command", "asking", "lab")

from catalogue import CASES  # noqa: E402
from host import Host  # noqa: E402
from lab import Lab  # noqa: E402


@pytest.fixture(scope="module")
def lab_of_all(pytestconfig, tmp_path_factory):
    conftest.need_ours(pytestconfig)
    try:
        lab = Lab(tmp_path_factory.mktemp("libvirt"), Path(pytestconfig.getoption("--builddir")).resolve(),
                  pytestconfig.getoption("--keep"))
        lab.start()
    except image.Unavailable as error:
        pytest.skip(f"no libvirt here: {error}")
    yield lab
    lab.stop()


@pytest.fixture
def lab(request, lab_of_all):
    """The lab in its rest. A case that leaves it otherwise fails, and the next one gets a new guest."""
    request.node.guest = lab_of_all.guest
    yield lab_of_all
    failed = getattr(request.node, "failed", False)
    if failed or not lab_of_all.is_in_its_rest():
        lab_of_all.renew()
        if not failed:
            pytest.fail("the case left the guest otherwise than it found it")


def test_another_libvirtd_knows_nothing_of_this_one(lab, tmp_path):
    # So does that of the machine, where one runs.
    other = Host(tmp_path).start()
    try:
        assert other.virsh("list", "--all", "--name") == ""
    finally:
        other.stop()
    assert lab.guest.name in lab.host.virsh("list", "--name")


@pytest.mark.parametrize("name", CASES)
def test_libvirt(lab, name):
    CASES[name].run(lab)
