#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# autogen.sh: makes ./configure in a git checkout (a release has it already).
set -eu
cd "$(dirname "$0")"
mkdir -p build-aux
for tool in autoreconf automake pkg-config; do
	command -v $tool >/dev/null || {
		echo "autogen.sh: $tool is missing: install autoconf automake pkg-config (Debian)" \
			"or autoconf automake pkgconf-pkg-config (Fedora)" >&2
		exit 1
	}
done
autoreconf --install --force
