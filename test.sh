#!/usr/bin/env bash
# Runs all tests, and prints what failed, what was skipped and what the tests have to say.
# usage: sudo ./test.sh [--no-install] [arguments of go test]
# First it installs the programs that the tests use and that are missing, without asking. It can do so as root, where
# the system has apt-get. Else, and with --no-install, it names what is missing, and the tests that need it are skipped.
set -uo pipefail
cd "$(dirname "$0")"
install=yes
if [ "${1:-}" = --no-install ]; then
	install=no
	shift
fi
if ! command -v go >/dev/null && [ -x /usr/local/go/bin/go ]; then # sudo has a PATH of its own
	PATH=$PATH:/usr/local/go/bin
fi
PATH=$PATH:/usr/sbin:/sbin

# Each program with the Debian package that it comes from.
missing=() packages=()
while read -r program package; do
	if ! command -v "$program" >/dev/null; then
		missing+=("$program") packages+=("$package")
	fi
done <<-'END'
	capsh libcap2-bin
	dot graphviz
	fish fish
	ip iproute2
	man man-db
	mandoc mandoc
	mtr-packet mtr-tiny
	nft nftables
	ping iputils-ping
	ps procps
	qemu-arm qemu-user
	rpm rpm
	scamper scamper
	strace strace
	tayga tayga
	tcpdump tcpdump
	tcptraceroute.mt tcptraceroute
	tmux tmux
	traceroute.db traceroute
	tshark tshark
	xz xz-utils
	zsh zsh
END
if [ ! -e /etc/services ]; then
	missing+=(/etc/services) packages+=(netbase)
fi
if [ ${#missing[@]} -gt 0 ]; then
	if [ $install = yes ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		echo "installing ${packages[*]}"
		export DEBIAN_FRONTEND=noninteractive
		apt-get update -q >/dev/null && apt-get install -q -y --no-install-recommends "${packages[@]}" >/dev/null || exit
	else
		echo "missing, so that tests which need them are skipped: ${missing[*]} (Debian: apt-get install ${packages[*]})" >&2
	fi
fi

export CGO_ENABLED=0 # the program gives up its privileges in all threads, which cgo makes impossible
go test -v -count=1 -timeout 60m "$@" ./... 2>&1 | grep -vE '^\s*(=== |--- PASS|PASS$)'
exit "${PIPESTATUS[0]}"
