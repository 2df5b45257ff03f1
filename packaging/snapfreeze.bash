# SPDX-License-Identifier: LGPL-2.1-or-later
# bash completion for snapfreeze(1). Commands and options are asked of the program itself, so that
# they cannot differ from it; nothing is asked of an agent but the names of its commands, for `call`.

_snapfreeze_options() {
	"$@" --help 2>/dev/null | sed -n 's/^  \(-., \)\{0,1\}\(--[a-z-]*\).*/\2/p'
}

_snapfreeze_commands() {
	"$1" --help 2>/dev/null | sed -n '/^Commands/,/^$/s/^  \([a-z]*\) .*/\1/p'
}

_snapfreeze_agent_commands() {
	"$@" --timeout 1s info 2>/dev/null | sed -n 's/^\([a-z][a-z0-9-]*\)  *yes .*/\1/p'
}

_snapfreeze_mount_points() {
	findmnt --real --noheadings --raw --output TARGET 2>/dev/null
}

# Sets $command to the sub-command that stands on the line so far, and $socket to the options that
# say which agent.
_snapfreeze_parse() {
	local i
	command= socket=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--socket | --agent)
			socket=(--socket "${COMP_WORDS[i + 1]}")
			((i++))
			;;
		--timeout | --label | --lease | --hold | --id | --foreign | --qmp | --domain | --disk | --backup | --format | --svg)
			((i++))
			;;
		-*) ;;
		*) [[ $command ]] || command=${COMP_WORDS[i]} ;;
		esac
	done
}

_snapfreeze() {
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
	local program=${COMP_WORDS[0]} command socket words IFS=$' \t\n'

	COMPREPLY=()
	_snapfreeze_parse
	case $previous in
	--socket | --agent | --qmp | --backup | --svg)
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		return
		;;
	--timeout | --lease | --hold) words='5s 10s 1m 5m 1h' ;;
	--label | --id | --disk) return ;;
	--domain) words=$(virsh --quiet list --name 2>/dev/null) ;;
	--format) words='qcow2 raw' ;;
	--foreign) words=$(_snapfreeze_mount_points) ;;
	*)
		if [[ $current == -* ]]; then
			words=$(_snapfreeze_options "$program" $command)
		elif [[ ! $command ]]; then
			words=$(_snapfreeze_commands "$program")
		elif [[ $command == call && $previous == call ]]; then
			words=$(_snapfreeze_agent_commands "$program" "${socket[@]}")
		elif [[ $command == freeze || $command == plan ]]; then
			words=$(_snapfreeze_mount_points)
		fi
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

complete -F _snapfreeze snapfreeze
