#!/bin/sh
# After installing and upgrading, and where a removal was given up.
set -e

# Who runs the program may send TCP probes by it, and nothing else: it has no other privilege, and gives this one up as soon
# as its sockets are open. Permitted and not effective, so that it starts where the capability is out of reach too.
if ! setcap cap_net_raw+p /usr/bin/tcptraceroute.ng 2>/dev/null; then
	echo "tcptraceroute: no setcap here, or no capabilities on this filesystem: only root gets raw sockets." >&2
	echo "To change that later: setcap cap_net_raw+p /usr/bin/tcptraceroute.ng" >&2
fi

# Where another RPM has put a file in the link's place, that stays; rpm gives a number.
update-alternatives --install /usr/bin/tcptraceroute tcptraceroute /usr/bin/tcptraceroute.ng 120 \
	--slave /usr/share/man/man1/tcptraceroute.1.gz tcptraceroute.1.gz /usr/share/man/man1/tcptraceroute.ng.1.gz ||
	[ "$1" -ge 0 ] 2>/dev/null
