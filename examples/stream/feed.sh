#!/usr/bin/env bash
# Sends files through penstock, and says what became of each: bash feed.sh URL FILE…
set -o pipefail # the exit status is that of penstock
url=$1
shift
for file; do
	file=${file//\\/\\\\} # as JSON has it
	file=${file//\"/\\\"}
	printf '{"path":"%s","key":"%s"}\n' "$file" "$file"
done |
	penstock send --manifest - --results - --to "$url" |
	while IFS= read -r line; do
		if [[ $line =~ \"key\":\"(.*)\",\"status\":\"([a-z]*)\" ]]; then
			echo "${BASH_REMATCH[1]} ${BASH_REMATCH[2]}"
		fi
	done
