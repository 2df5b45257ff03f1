# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=sh
# thaw_first: no filesystem stays frozen while the programs that would thaw it are exchanged or removed, and what
# is frozen does not hold up the package manager. Part of the scripts of Debian's and of rpm's packages. It uses
# nothing of the package that is being installed, which is not there yet.
# Where / itself is frozen the package manager waits before it runs any script, until the host thaws or the freeze's
# deadline passes: nothing here can change that.

sf_agent=/usr/sbin/snapfreeze-agent

sf_frozen() {
	[ ! -x $sf_agent ] || $sf_agent --frozen 2>/dev/null || :
}

# The processes of one program, whoever started them: /proc/PID/exe names the file, replaced or not.
sf_running() {
	# shellcheck disable=SC2012
	ls -l /proc/[0-9]*/exe 2>/dev/null | sed -n "s|^.* /proc/\([0-9]*\)/exe -> $1\( (deleted)\)\{0,1\}\$|\1|p"
}

# Asks the service manager, then whoever was started without one. SIGTERM thaws.
sf_stop_agent() {
	if [ -d /run/systemd/system ]; then
		systemctl stop snapfreeze-agent.service || :
	elif command -v rc-service >/dev/null; then
		rc-service --ifexists snapfreeze-agent stop || :
	fi
	for sf_pid in $(sf_running $sf_agent); do
		kill -TERM "$sf_pid" 2>/dev/null || :
	done
	sf_tries=0
	while [ -n "$(sf_running $sf_agent)" ] && [ $sf_tries -lt 60 ]; do
		sleep 1
		sf_tries=$((sf_tries + 1))
	done
}

# Fails where something stays frozen, on a disk that does not answer. --recover would wait for that as long as it takes,
# and so does what the unit runs when it is stopped: systemd ends that after TimeoutStopSec=.
sf_thaw_own() {
	sf_list=$(sf_frozen)
	[ -n "$sf_list" ] || return 0
	echo "snapfreeze-agent: these filesystems are frozen, and are thawed first; a snapshot that is being taken of them"
	echo "is not consistent:"
	echo "$sf_list"
	sf_stop_agent
	timeout -k 5 20 $sf_agent --recover || :
	sf_list=$(sf_frozen)
	[ -n "$sf_list" ] || return 0
	echo "snapfreeze-agent: still frozen, since the disk does not answer:" >&2
	echo "$sf_list" >&2
	return 1
}

sf_say_not_removed() {
	echo "snapfreeze-agent: not removed, since nothing else would thaw that; remove it again when the disk answers" >&2
}

# A line for each filesystem on a device, the last mounted first: three of its mount points at most. The kernel writes a
# space as \040, printf wants \0040.
sf_filesystems() {
	awk '$1 ~ /^\// && $3 !~ /^(fuse|cifs|smb|nfs|overlay)/ {
			if (!($1 in seen)) sources[++count] = $1
			if (++seen[$1] <= 3) paths[$1] = paths[$1] " " $2
		}
		END { while (count > 0) print paths[sources[count--]] }' /proc/self/mounts | sed 's/\\/\\0/g'
}

sf_qemu_ga_note() {
	sf_statedir=$(sed -n 's/^[[:space:]]*statedir[[:space:]]*=[[:space:]]*//p' /etc/qemu/qemu-ga.conf 2>/dev/null || :)
	for sf_folder in "$sf_statedir" /run /var/run; do
		[ ! -f "$sf_folder/qga.state.isfrozen" ] || { echo "$sf_folder/qga.state.isfrozen"; return; }
	done
}

sf_qemu_ga_runs() {
	grep -slx qemu-ga /proc/[0-9]*/comm | sed 's/comm$/status/' | xargs -r grep -sl '^State:.[^Z]' | grep . >/dev/null
}

# qemu-ga does not thaw when it is ended, only its note tells. The note stays: by it the agent, at its start, tells the
# host that this freeze did not hold; and a qemu-ga that is put back would wait for the thaw without doing harm.
sf_thaw_qemu_ga() {
	sf_note=$(sf_qemu_ga_note)
	[ -n "$sf_note" ] || return 0
	if sf_qemu_ga_runs; then
		echo "snapfreeze-agent: qemu-ga has frozen this guest and runs: its freeze is left to it, and thawed at the start"
		echo "of snapfreeze-agent, which ends it"
		return 0
	fi
	echo "snapfreeze-agent: qemu-ga was ended with this guest frozen ($sf_note); thawing first:"
	sf_unfreeze_all
}

# Side by side: one on a disk that does not answer, or that waits for another's thaw, holds up no other.
sf_unfreeze_all() {
	sf_filesystems | {
		while read -r sf_paths; do
			sf_unfreeze_in_time "$sf_paths" </dev/null &
		done
		wait
	}
}

# What hangs is left to itself, and to the agent, which goes on with it at its start.
sf_unfreeze_in_time() {
	sf_unfreeze_one "$1" &
	sf_pid=$!
	sf_tries=0
	while grep -q '^State:.[^Z]' /proc/$sf_pid/status 2>/dev/null; do
		if [ $sf_tries -ge 100 ]; then
			printf 'snapfreeze-agent: not thawed, since it does not answer: %b\n' "$1" >&2
			return
		fi
		sleep 0.1
		sf_tries=$((sf_tries + 1))
	done
}

# Another's mount may cover a mount point: the first that leads to something frozen does.
sf_unfreeze_one() {
	for sf_path in $1; do
		sf_path=$(printf '%b.' "$sf_path")
		sf_path=${sf_path%.}
		! fsfreeze --unfreeze "$sf_path" 2>/dev/null || { echo "$sf_path"; return; }
	done
}

thaw_first() {
	[ -z "${DPKG_ROOT:-}" ] || return 0
	sf_thaw_qemu_ga
	sf_thaw_own
}
