# shellcheck shell=sh
# Runs "$@" for as long as the standard input stays open, and kills it then: the other end belongs
# to the test process, so that the server cannot outlive it.
#
# First two arguments: the data directory, removed in the end, and the log.
# Standard input: lines with a signal to send, or KEEP, which keeps the directory in the end.
# Standard output: one line for each line read, after it was carried out.
# Standard error: closes when the server has ended.
dir=$1
log=$2
shift 2
"$@" 3>&2 </dev/null >>"$log" 2>&1 &
server=$!
exec 2>/dev/null
keep=
while read -r command; do
    case $command in
    KEEP) keep=1 ;;
    STOP)
        kill -s STOP "$server"
        # Threads stop one after the other: until the last has, the server may still answer.
        while grep -qs '^State:[[:space:]]*[RSD]' /proc/"$server"/task/*/status; do :; done
        ;;
    *) kill -s "$command" "$server" ;;
    esac
    echo ok
done
kill -s KILL "$server"
wait "$server"
if [ -z "$keep" ]; then
    rm -rf "$dir" "$log"
fi
