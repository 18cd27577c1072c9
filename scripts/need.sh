#!/usr/bin/env bash
# Makes sure that the programs named as arguments are there: installs them where
# this is Debian or Ubuntu and we are root, else says which packages to install.
set -euo pipefail

package_of() {
	case "$1" in
	redis-server) echo redis-server ;;
	chromium-headless-shell) echo chromium-headless-shell ;;
	npm) echo npm ;;
	gcc) echo gcc libc6-dev ;;
	wrk) echo wrk ;;
	taskset) echo util-linux ;;
	hypercorn) echo python3-hypercorn ;;
	*) echo "$1" ;;
	esac
}

# What npm installs runs on Node.js 20 or newer, which Debian has since 13.
checked() {
	case " $* " in *" npm "*)
		if [ "$(node --version | sed 's/^v\([0-9]*\).*/\1/')" -lt 20 ]; then
			echo "Node.js $(node --version) is too old: 20 or newer is needed, as in Debian 13 (package nodejs)" >&2
			exit 1
		fi
		;;
	esac
	exit 0
}

missing=()
for program in "$@"; do
	command -v "$program" >/dev/null 2>&1 || missing+=("$program")
done
[ ${#missing[@]} -gt 0 ] || checked "$@"

packages=()
for program in "${missing[@]}"; do
	# shellcheck disable=SC2207 # package names have no spaces
	packages+=($(package_of "$program"))
done

if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
	echo "installing: ${packages[*]}"
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
	checked "$@"
fi
echo "missing: ${missing[*]}" >&2
echo "install the packages (names as in Debian): ${packages[*]}" >&2
exit 1
