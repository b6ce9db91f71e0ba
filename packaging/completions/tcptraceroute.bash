# bash completion for tcptraceroute
# From the option table, by go generate ./internal/options.
_tcptraceroute() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} i operands=0
	COMPREPLY=()
	# "=" parts words: --option = value
	[[ $cur == = ]] && cur= || { [[ $prev == = ]] && prev=${COMP_WORDS[COMP_CWORD-2]}; }
	case $prev in
	-i) COMPREPLY=($(compgen -W "$(command ls /sys/class/net 2>/dev/null)" -- "$cur")); return ;;
	--syn) COMPREPLY=($(compgen -W "bare linux" -- "$cur")); return ;;
	--confidence) COMPREPLY=($(compgen -W "95 99" -- "$cur")); return ;;
	--mmdb) local IFS=$'\n'; compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur")); return ;;
	--format) COMPREPLY=($(compgen -W "text json jsonl csv mtr-json atlas dot mermaid scamper dublin svg html" -- "$cur")); return ;;
	--replay) local IFS=$'\n'; compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur")); return ;;
	--diff) local IFS=$'\n'; compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur")); return ;;
	--save) local IFS=$'\n'; compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur")); return ;;
	--pcap) local IFS=$'\n'; compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur")); return ;;
	--color) COMPREPLY=($(compgen -W "auto always never" -- "$cur")); return ;;
	--theme) COMPREPLY=($(compgen -W "auto dark light" -- "$cur")); return ;;
	--targets) local IFS=$'\n'; compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur")); return ;;
	--exclude) local IFS=$'\n'; compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur")); return ;;
	--resume) local IFS=$'\n'; compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur")); return ;;
	--help) COMPREPLY=($(compgen -W "all" -- "$cur")) ;;
	-i|-f|-m|-q|-w|-t|-l|-p|-P|-s|--parallel|--mark|--syn|--mss|--connection|--pid|--port-for|--confidence|--max-flows|--max-target-syns|--mmdb|--format|--replay|--diff|--baseline|--save|--expect|--pcap|--color|-o|--order|-c|--count|--interval|--theme|--targets|--exclude|--rate|--jobs|--target-timeout|--resume|--preset) return ;;
	esac
	if [[ $cur == -* ]]; then
		COMPREPLY=($(compgen -W "-n -N -i -f -m -q -w -S -A -E -t -F -l -p -P -s -4 -6 --dnat --no-dnat --no-dnat-strict --track-port --track-id -d --parallel --loose --mark --syn --mss --accecn --unprivileged --in-session --mtu --connection --pid --paths --port-for --confidence --max-flows --max-target-syns --explain -e --extensions -a --mmdb --as-dns --json --jsonl --csv --format --replay --diff --baseline --save --expect --pcap --color --live --report -o --order -b --show-ips -c --count --interval --theme --targets --exclude --rate --jobs --target-timeout --hops --resume --preset --no-config -h --help -v --version" -- "$cur"))
		return
	fi
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-i|-f|-m|-q|-w|-t|-l|-p|-P|-s|--parallel|--mark|--syn|--mss|--connection|--pid|--port-for|--confidence|--max-flows|--max-target-syns|--mmdb|--format|--replay|--diff|--baseline|--save|--expect|--pcap|--color|-o|--order|-c|--count|--interval|--theme|--targets|--exclude|--rate|--jobs|--target-timeout|--resume|--preset)
			[[ ${COMP_WORDS[i+1]} == = ]] && ((i++))
			((i++))
			;;
		-*) ;;
		*) ((operands++)) ;;
		esac
	done
	case $operands in
	0) COMPREPLY+=($(compgen -A hostname -- "$cur")) ;;
	1) COMPREPLY+=($(compgen -A service -- "$cur")) ;;
	esac
}
complete -F _tcptraceroute tcptraceroute
