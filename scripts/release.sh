#!/usr/bin/env bash
# Builds what a release has, into dist/: for each platform an archive with the
# binary, and its software bill of materials; and the checksums of all of them.
#
#	scripts/release.sh <version> [<os>/<arch> …]
set -euo pipefail
cd "$(dirname "$0")/.."

version=${1:?usage: scripts/release.sh <version> [<os>/<arch> …]}
shift
platforms=("$@")
if [ ${#platforms[@]} -eq 0 ]; then
	platforms=(linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64)
fi
cyclonedx=github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0

rm -rf dist
mkdir dist
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The tool runs here, so it is built before GOOS names another system.
GOBIN=$work go install "$cyclonedx"

for platform in "${platforms[@]}"; do
	export GOOS=${platform%/*} GOARCH=${platform#*/} CGO_ENABLED=0
	name=caddy-sso_${version#v}_${GOOS}_$GOARCH
	binary=caddy
	[ "$GOOS" = windows ] && binary=caddy.exe
	mkdir "$work/$name"
	go build -trimpath -ldflags '-s -w' -tags nobadger,nomysql,nopgx -o "$work/$name/$binary" ./cmd/caddy
	cp -R LICENSE README.md CHANGELOG.md SECURITY.md Caddyfile.example docs "$work/$name"
	mkdir "$work/$name/testdata"
	cp -R testdata/demo "$work/$name/testdata" # the example serves it
	if [ "$GOOS" = windows ]; then
		(cd "$work" && zip -qr - "$name") >"dist/$name.zip"
	else
		tar -C "$work" --owner 0 --group 0 --numeric-owner -czf "dist/$name.tar.gz" "$name"
	fi
	"$work/cyclonedx-gomod" bin -json -std -version "$version" -output "dist/$name.cdx.json" "$work/$name/$binary"
done

cd dist
sha256sum -- * >"$work/checksums.txt"
mv "$work/checksums.txt" .
