#!/bin/sh
# Runs one command of a task and outlives the emulator. Usage: supervisor.sh CONTROL PROGRAM [ARGUMENT...]
# Its directory, environment, output and session are set by whoever starts it. In CONTROL it leaves
#   claim/  made first and by one supervisor only, so that a command never runs twice
#   pid     process id and start time, once it runs
#   exit    the exit code, once it has ended
control=$1
shift

born() {
    # Field 22 of the process's stat line; the name in parentheses may hold blanks.
    read -r line 2>/dev/null <"/proc/$$/stat" || return 0
    # shellcheck disable=SC2086
    set -- ${line##*) }
    shift 19
    echo "$1"
}

mkdir "$control/claim" 2>/dev/null || exit 0
echo "$$ $(born)" >"$control/pid.new"
mv "$control/pid.new" "$control/pid"
(exec "$@")
code=$?
echo "$code" >"$control/exit.new"
mv "$control/exit.new" "$control/exit"
