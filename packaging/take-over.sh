# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=sh
# take_over: makes the configuration at the first installation, out of what qemu-ga was told in places of which the agent
# reads none: the options in /etc/default/qemu-guest-agent, in a drop-in or a copy of its unit, and in Fedora's
# /etc/sysconfig/qemu-ga. Part of the scripts of Debian's and of rpm's packages.
# What cannot be understood may have blocked commands: the agent then gets the smallest profile, and the administrator is
# told.

sf_agent=/usr/sbin/snapfreeze-agent
sf_root=
sf_conf=/etc/snapfreeze/agent.conf
sf_sample=/usr/share/snapfreeze/agent.conf
sf_base=/etc/qemu/qemu-ga.conf
sf_known='DAEMON_ARGS|QEMU_GA_ARGS|FILTER_RPC_ARGS|BLACKLIST_RPC|BLOCK_RPCS|FSFREEZE_HOOK_PATHNAME'

# sf_setting FILE NAME: the last value that FILE, of a shell or of systemd, gives it, without its quotes.
sf_setting() {
	sed -n "s/^[[:space:]]*\(export[[:space:]]*\)\{0,1\}$2=//p" "$sf_root$1" 2>/dev/null | tail -n 1 |
		sed "s/[[:space:]]*\$//; s/^\"\(.*\)\"\$/\1/; s/^'\(.*\)'\$/\1/"
}

# sf_option OPTION VALUE: both, where there is a value.
sf_option() {
	[ -z "$2" ] || printf ' %s%s' "$1" "$2"
}

# Fedora's own hook goes with its package; sf_tell_of_hooks names what it ran.
sf_sysconfig_options() {
	sf_option --block-rpcs= "$(sf_setting /etc/sysconfig/qemu-ga BLACKLIST_RPC)"
	sf_option --block-rpcs= "$(sf_setting /etc/sysconfig/qemu-ga BLOCK_RPCS)"
	sf_option '' "$(sf_setting /etc/sysconfig/qemu-ga FILTER_RPC_ARGS)"
	sf_option '' "$(sf_setting /etc/sysconfig/qemu-ga QEMU_GA_ARGS)"
	sf_hook=$(sf_setting /etc/sysconfig/qemu-ga FSFREEZE_HOOK_PATHNAME)
	case $sf_hook in
	/etc/qemu-ga/fsfreeze-hook) ;;
	*) sf_option --fsfreeze-hook= "$sf_hook" ;;
	esac
}

# The package's own unit is not among them: what it has beside the program is known, or in one of the other files.
sf_unit_files() {
	for sf_file in "$sf_root"/etc/systemd/system/qemu-guest-agent.service \
		"$sf_root"/usr/lib/systemd/system/qemu-guest-agent.service.d/*.conf \
		"$sf_root"/usr/local/lib/systemd/system/qemu-guest-agent.service.d/*.conf \
		"$sf_root"/etc/systemd/system/qemu-guest-agent.service.d/*.conf; do
		[ ! -f "$sf_file" ] || echo "$sf_file"
	done
}

# The words behind the program in the last ExecStart=, without those that stand for a setting above.
sf_unit_options() {
	sf_unit_files | while read -r sf_file; do sed -e :a -e '/\\$/N; s/\\\n/ /; ta' "$sf_file"; echo; done |
		sed -n 's/^[[:space:]]*ExecStart[[:space:]]*=[[:space:]]*//p' | grep . | tail -n 1 |
		sed -E "s/^[-@:+!]*[^[:space:]]*qemu-ga([[:space:]]|\$)/ /
			s/[[:space:]](-[abF]|--[a-z-]+)?[=[:space:]]*\\\$(\{($sf_known)\}|($sf_known)([[:space:]]|\$))/ /g"
}

# As qemu-ga got them, in one line. An empty list blocks nothing; quotes around one word change nothing.
sf_all_options() {
	printf '%s%s%s\n' "$(sf_option '' "$(sf_setting /etc/default/qemu-guest-agent DAEMON_ARGS)")" \
		"$(sf_sysconfig_options)" " $(sf_unit_options)" |
		sed -E "s/[[:space:]](-[ab]|--(block-rpcs|blacklist|allow-rpcs))[=[:space:]]*(''|\"\")/ /g
			s/\"([^\"'[:space:]]*)\"/\1/g; s/'([^\"'[:space:]]*)'/\1/g; s/^[[:space:]]*//; s/[[:space:]]*\$//"
}

# sf_dump OPTION...: the configuration that the agent makes of qemu-ga's file and these.
sf_dump() {
	sf_from=$sf_root$sf_base
	[ -f "$sf_from" ] || sf_from=/dev/null
	sf_text=$("$sf_agent" -D -c "$sf_from" "$@" 2>/dev/null) || return 1
	printf '%s\n' "$sf_text" | grep '^\[general\]' >/dev/null || return 1
	printf '%s\n' "$sf_text"
}

# sf_changes OLD NEW: "[group] key=value" for each line of the dump NEW that OLD has not. Where files and processes of the
# agent are is its own.
sf_changes() {
	printf '%s\n--\n%s\n' "$1" "$2" | awk '
		/^--$/ { second = 1; next }
		/^\[/ { group = $0; next }
		!second { old[group " " $0] = 1; next }
		/^(statedir|pidfile|daemon)=/ || !/=/ { next }
		!((group " " $0) in old) { print group " " $0 }'
}

# The commands of the agent that do what a list of qemu-ga means, too: who may not freeze by the one may not by the other.
sf_add_own_commands() {
	sed -E '/ block-rpcs=.*guest-fsfreeze-freeze/ s/$/,snapfreeze-freeze/
		/ allow-rpcs=.*guest-fsfreeze-freeze/ s/$/,snapfreeze-plan,snapfreeze-status,snapfreeze-freeze,snapfreeze-thaw,snapfreeze-extend/'
}

# The sample, with the lines of standard input in their places.
sf_fill_in() {
	awk -v sample="$sf_root$sf_sample" '
		{ group = $1; sub(/^[^ ]* /, ""); key = $0; sub(/=.*/, "", key); wanted[group " " key] = $0 }
		END {
			while ((getline line <sample) > 0) {
				print line
				if (line ~ /^\[/) group = line
				key = line; sub(/^#/, "", key); sub(/ = .*/, "", key)
				if ((group " " key) in wanted) print wanted[group " " key]
			}
		}'
}

# Prints the lines of the configuration that these options make; fails where nobody can tell.
sf_take_over_options() {
	# Whether a word is split or replaced as a shell or systemd would do it is not for us to guess.
	case $1 in
	*[\$%\`\\\"\'\;\&\|\<\>\(\)\*\?\[\#]*) return 1 ;;
	esac
	# shellcheck disable=SC2086
	sf_after=$(sf_dump $1) || return 1
	sf_before=$("$sf_agent" -D -c /dev/null)
	sf_changes "$sf_before" "$sf_after" | sf_add_own_commands
}

sf_write_conf() {
	mkdir -p "$sf_root/etc/snapfreeze"
	{
		echo "# Made at the installation, with what qemu-ga was told by its options and by qemu-ga.conf. It is not looked up there again."
		printf '%s\n' "$1" | sf_fill_in
	} >"$sf_root$sf_conf.new"
	chmod 644 "$sf_root$sf_conf.new"
	mv "$sf_root$sf_conf.new" "$sf_root$sf_conf"
}

sf_sources() {
	for sf_file in "$sf_root/etc/default/qemu-guest-agent" "$sf_root/etc/sysconfig/qemu-ga" $(sf_unit_files); do
		[ ! -f "$sf_file" ] || printf ' %s' "${sf_file#"$sf_root"}"
	done
}

# Scripts that Fedora's hook ran, which is not taken over.
sf_tell_of_hooks() {
	for sf_script in "$sf_root"/etc/qemu-ga/fsfreeze-hook.d/*; do
		if [ -f "$sf_script" ] && [ -x "$sf_script" ]; then
			echo "snapfreeze-agent: ${sf_script#"$sf_root"} is run if it is linked into /etc/snapfreeze/hooks.d"
		fi
	done
}

take_over() {
	sf_options=$(sf_all_options)
	sf_files=$(sf_sources)
	if [ -e "$sf_root$sf_conf" ]; then
		[ -z "$sf_files" ] || echo "snapfreeze-agent: $sf_conf exists; not read:$sf_files"
	elif [ -z "$sf_options" ]; then
		[ -z "$sf_files" ] || echo "snapfreeze-agent: not read, but without options of qemu-ga:$sf_files"
		sf_make_plain
	elif sf_lines=$(sf_take_over_options "$sf_options"); then
		sf_write_conf "$sf_lines"
		echo "snapfreeze-agent: these options of qemu-ga, from$sf_files, are now in $sf_conf:"
		printf '%s\n' "$sf_lines" | sed 's/^\[[^]]*\] /    /'
	else
		sf_lines=$(sf_take_over_options '') || sf_lines=
		sf_write_conf "$(printf '%s\n[commands] profile=snapshot\n' "$sf_lines")"
		echo "snapfreeze-agent: THE OPTIONS OF QEMU-GA IN$sf_files CANNOT BE TAKEN OVER: $sf_options" >&2
		echo "snapfreeze-agent: since they may block commands, the host may only freeze and thaw (profile=snapshot) until you" >&2
		echo "snapfreeze-agent: have looked at $sf_conf" >&2
	fi
	sf_tell_of_hooks
}

# While agent.conf exists qemu-ga.conf is not read, and what that blocks would be allowed: so it is made only where there is
# no such file, once, and never touched again.
sf_make_plain() {
	if [ -e "$sf_root$sf_base" ]; then
		echo "snapfreeze-agent: $sf_base is read; there is no $sf_conf"
	else
		mkdir -p "$sf_root/etc/snapfreeze"
		install -m 644 "$sf_root$sf_sample" "$sf_root$sf_conf"
	fi
}
