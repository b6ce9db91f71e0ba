#!/bin/sh
# Before the package goes: dpkg says "remove" or "deconfigure", rpm how many versions are left. An upgrade keeps the link.
set -e
case "$1" in
remove | deconfigure) update-alternatives --remove tcptraceroute /usr/bin/tcptraceroute.ng ;;
0) update-alternatives --remove tcptraceroute /usr/bin/tcptraceroute.ng || : ;; # it may never have got there
esac
