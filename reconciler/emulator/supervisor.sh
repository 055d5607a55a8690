#!/bin/sh
# Runs one command of a task and outlives the emulator. Usage: supervisor.sh CONTROL PROGRAM [ARGUMENT...]
# Its directory, environment, output and session are set by whoever starts it. In CONTROL it leaves
#   pid     process id and start time; made by one supervisor only, so that a command never runs twice
#   exit    the exit code, once it has ended
# Both are whole only with the line's end. All but the command itself is done by the shell: a process more for each
# task would cost more than the rest of it.
control=$1
shift

start_time() {
    # Field 22 of the process's stat line; the name in parentheses may hold blanks.
    shift 19
    born=$1
}

born= line=
{ read -r line <"/proc/$$/stat"; } 2>/dev/null
# shellcheck disable=SC2086
[ -z "$line" ] || start_time ${line##*) }

# A task may signal its whole group, itself included (`kill 0`); the command gets the default handling back.
trap : HUP INT QUIT TERM USR1 USR2 PIPE ALRM
set -C
{ echo "$$ $born" >"$control/pid"; } 2>/dev/null || exit 0
# What the shell itself says about a signal has no place in the command's error output.
exec 3>&2 2>/dev/null
(exec "$@" 2>&3 3>&-)
echo "$?" >"$control/exit"
