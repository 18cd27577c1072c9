#!/usr/bin/env bash
# Prints the section of CHANGELOG.md for a version. A version without one is an
# error, so that nothing is released which is not written down.
#
#	scripts/release-notes.sh v1.2.3
set -euo pipefail
cd "$(dirname "$0")/.."

version=${1:?usage: scripts/release-notes.sh <version>}
version=${version#v}
notes=$(awk -v version="$version" '
	/^## / { inside = ($2 == version || $2 == "[" version "]") ; next }
	/^\[[^]]+\]: / { next } # addresses of links
	inside { print }
' CHANGELOG.md)
if [ -z "${notes//[[:space:]]/}" ]; then
	echo "CHANGELOG.md has no section \"## [$version]\": rename Unreleased, and date it" >&2
	exit 1
fi
printf '%s\n' "$notes"
