#!/usr/bin/env bash
# Builds all that is released: Debian and RPM packages and static tarballs, for amd64, arm64 and armhf, and their SHA-256
# sums. armhf runs from ARMv6 with floating point on, as Raspberry Pi OS does.
#
#	packaging/build.sh VERSION OUTDIR [ARCH...]
#
# Two builds of the same source by the same Go have the same bytes. Their time is SOURCE_DATE_EPOCH, else the last commit's.
set -euo pipefail
umask 022
[ $# -ge 2 ] || { echo "usage: $0 VERSION OUTDIR [ARCH...]" >&2; exit 1; }
mkdir -p "$2"
version=${1#v} out=$(cd "$2" && pwd)
shift 2
cd "$(dirname "$0")/.."
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export VERSION=$version LC_ALL=C TZ=UTC

# The packager is no dependency of the program, so it is not in go.mod. This is the newest release that builds.
nfpm() { go run github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.0 "$@"; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
[ $# -gt 0 ] || set -- amd64 arm64 armhf
for arch; do
	goarch=$arch ARCH=$arch # ARCH: as nfpm calls it
	if [ "$arch" = armhf ]; then
		goarch=arm ARCH=arm6
	fi
	export ARCH BUILD=$work/$arch
	name=tcptraceroute-$version-linux-$arch
	mkdir -p "$BUILD/$name/completions" "$BUILD/$name/docs"
	# Without cgo: privileges can only be given up in all threads then. The table of symbols is of no use to users.
	CGO_ENABLED=0 GOOS=linux GOARCH=$goarch GOAMD64=v1 GOARM64=v8.0 GOARM=6 go build -trimpath -buildvcs=false \
		-ldflags "-s -w -buildid= -X go.example/tcptraceroute/internal/version.Linked=$version" -o "$BUILD/tcptraceroute" ./cmd/tcptraceroute
	gzip -9nc tcptraceroute.1 >"$BUILD/tcptraceroute.1.gz"

	nfpm package --config packaging/nfpm.yaml --packager deb --target "$out/" >&2
	nfpm package --config packaging/nfpm.yaml --packager rpm --target "$out/" >&2

	install -m 755 "$BUILD/tcptraceroute" "$BUILD/$name/"
	install -m 644 tcptraceroute.1 README.md LICENSE "$BUILD/$name/"
	install -m 644 packaging/completions/* "$BUILD/$name/completions/"
	install -m 644 docs/findings.md docs/formats.md docs/options.md record/trace-1.json compare/diff-1.json "$BUILD/$name/docs/"
	tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --format=ustar \
		-C "$BUILD" -c "$name" | gzip -9n >"$out/$name.tar.gz"
done
cd "$out"
sha256sum -- *.deb *.rpm *.tar.gz >SHA256SUMS
cat SHA256SUMS
