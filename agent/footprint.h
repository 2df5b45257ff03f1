/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/**
 * sf_footprint_shrink:
 *
 * Gives back what starting up needed and waiting for a host does not: free heap, and the pages of
 * programs and libraries that this process has mapped. These stay in the page cache, and each is
 * mapped again when it is next used.
 */
void sf_footprint_shrink(void);
