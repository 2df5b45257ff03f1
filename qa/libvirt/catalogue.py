# SPDX-License-Identifier: LGPL-2.1-or-later
"""All cases, in the order in which they run: each module lists its own where it is imported."""

import telling  # noqa: F401
import freezing  # noqa: F401
import losing  # noqa: F401
import copying  # noqa: F401
import one_command  # noqa: F401
import asking  # noqa: F401  (its last cases restore the guest, then boot it anew)
from case import CASES  # noqa: F401
