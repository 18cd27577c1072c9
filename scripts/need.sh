#!/usr/bin/env bash
# Makes sure that the programs named as arguments are there: installs them where
# this is Debian or Ubuntu and we are root, else says which packages to install.
set -euo pipefail

package_of() {
	case "$1" in
	redis-server) echo redis-server ;;
	chromium) echo chromium ;;
	npm) echo npm ;;
	gcc) echo gcc libc6-dev ;;
	wrk) echo wrk ;;
	taskset) echo util-linux ;;
	*) echo "$1" ;;
	esac
}

missing=()
for program in "$@"; do
	command -v "$program" >/dev/null 2>&1 || missing+=("$program")
done
[ ${#missing[@]} -gt 0 ] || exit 0

packages=()
for program in "${missing[@]}"; do
	# shellcheck disable=SC2207 # package names have no spaces
	packages+=($(package_of "$program"))
done

if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
	echo "installing: ${packages[*]}"
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
	exit 0
fi
echo "missing: ${missing[*]}" >&2
echo "install the packages (names as in Debian): ${packages[*]}" >&2
exit 1
