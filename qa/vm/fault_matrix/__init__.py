# SPDX-License-Identifier: LGPL-2.1-or-later
"""The fault matrix: every fault at every stage of a freeze, and the same four assertions after each. qa/vm/README.md
says how a fault is added."""
