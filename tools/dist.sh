#!/usr/bin/env bash
# dist.sh VERSION [OS/ARCH ...]: builds dist/, what a release consists of: an archive for
# each platform with the daemon, its licence and the files of deploy/systemd, and
# SHA256SUMS. The same source and Go version give the same bytes. Needs web/dist. $DIST is
# another folder than dist; what is in it goes.
set -euo pipefail
cd "$(dirname "$0")/.."

version=$1
shift
platforms=("$@")
((${#platforms[@]})) || platforms=(linux/amd64 linux/arm64 darwin/amd64 darwin/arm64)

out=${DIST:-dist}
rm -rf "$out"
mkdir "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
date=$(git log -1 --format=%ct)

for platform in "${platforms[@]}"; do
  os=${platform%/*} arch=${platform#*/}
  name=fanoutd-$version-$os-$arch
  echo "$out/$name.tar.gz"
  mkdir "$work/$name"
  CGO_ENABLED=0 GOOS=$os GOARCH=$arch go build -trimpath -ldflags "-s -w -X main.version=$version" -o "$work/$name/fanoutd" ./cmd/fanoutd
  built=$(go version -m "$work/$name/fanoutd")
  for setting in "CGO_ENABLED=0" "GOOS=$os" "GOARCH=$arch"; do
    grep -qF "build	$setting" <<<"$built" || { echo "$name is not built with $setting:" "$built" >&2; exit 1; }
  done
  cp LICENSE CHANGELOG.md "$work/$name/"
  if [ "$os" = linux ]; then cp -r deploy/systemd "$work/$name/"; fi
  tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$date" --mode=u+rwX,go+rX,go-w -cf - "$name" | gzip -n9 >"$out/$name.tar.gz"
done
cd "$out"
sha256sum -- *.tar.gz >SHA256SUMS
sha256sum --check --quiet SHA256SUMS
