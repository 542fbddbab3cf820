#!/usr/bin/env bash
# Checks proto/ for changes that would break clients: against each level of the API
# that test/testdata keeps, and against the latest release tag that this commit descends from or, before the first release,
# against the commit checked out. Says which. Usage: tools/breaking.sh BUF
set -euo pipefail

buf=$(realpath "$1")
cd "$(dirname "$0")/.."

for level in test/testdata/api-level-*.binpb; do
	echo "breaking: comparing with $level"
	"$buf" breaking --against "$level"
done

if tag=$(git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null); then
	base=$tag
	echo "breaking: comparing with the release $tag"
elif base=$(git rev-parse --quiet --verify HEAD); then
	echo "breaking: no release tag yet, comparing with commit ${base:0:12}"
else
	echo "breaking: no commit yet, nothing to compare with"
	exit 0
fi
if ! git cat-file -e "$base:proto" 2>/dev/null; then
	echo "breaking: $base has no proto/ yet, nothing to compare with"
	exit 0
fi

# A plain copy of that commit's contract: unlike buf's own git input this works
# in a worktree and in a shallow clone.
old=$(mktemp -d)
trap 'rm -rf "$old"' EXIT
git archive "$base" buf.yaml proto | tar -x -C "$old"
"$buf" breaking --against "$old"
