#!/usr/bin/env bash
# release.sh VERSION [OS/ARCH ...]: builds dist/, all that a release consists of, with one
# version: the archives of dist.sh, the npm packages of sdk/node, the Python package's sdist and
# wheel, and SHA256SUMS. Says what would be published where, and publishes nothing. Needs web/dist,
# the packages of sdk/node built, npm, and Python with venv. $DIST is another folder than dist; what is in it goes.
set -euo pipefail
cd "$(dirname "$0")/.."

version=$1
out=${DIST:-dist}
tools/dist.sh "$@"
out=$(realpath "$out")
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

# npm wants three numbers; what is no release is below all of them.
npm_version=$version
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]] || npm_version=0.0.0-dev.g${version//[^0-9A-Za-z-]/-}
npm_packages=(client emitter socket.io fanoutd) # the first is what others depend on
npm_files=()
for package in "${npm_packages[@]}"; do
  mkdir "$stage/$package"
  cp -r sdk/node/"$package"/{README.md,index.mjs,dist} LICENSE "$stage/$package/"
  node - "sdk/node/$package/package.json" "$npm_version" >"$stage/$package/package.json" <<'JS'
const [file, version] = process.argv.slice(2);
const it = JSON.parse(require("node:fs").readFileSync(file, "utf8"));
it.version = version;
delete it.scripts; // they are for the repository
for (const name of Object.keys(it.dependencies ?? {})) if (name.startsWith("@fanoutd/")) it.dependencies[name] = version;
console.log(JSON.stringify(it, null, 2));
JS
  file=$(cd "$stage/$package" && npm pack --silent --pack-destination "$out")
  echo "$out/$file"
  npm_files+=("$out/$file")
done

venv=sdk/python/.venv
[[ -x $venv/bin/python ]] || python3 -m venv $venv
$venv/bin/python -m pip install --quiet build "setuptools>=77" grpcio-tools
FANOUTD_VERSION=$version $venv/bin/python -m build --no-isolation --outdir "$stage/python" sdk/python >"$stage/python.log" 2>&1 || { cat "$stage/python.log" >&2; exit 1; }
python_files=()
for file in "$stage"/python/*; do
  mv "$file" "$out/"
  echo "$out/$(basename "$file")"
  python_files+=("$out/$(basename "$file")")
done

(cd "$out" && rm SHA256SUMS && sha256sum -- * >"$stage/SHA256SUMS" && mv "$stage/SHA256SUMS" . && sha256sum --check --quiet SHA256SUMS)

tag=$(git tag --points-at HEAD --list "v$version")
if [[ -z $tag ]]; then printf '\nNo release: this commit has no tag v%s.\n' "$version"; fi
level=$(sed -n 's/^const APILevel = //p' internal/control/level.go)
if ! sdk/node/node_modules/.bin/buf build proto --as-file-descriptor-set --exclude-source-info -o - | cmp --quiet - "test/testdata/api-level-$level.binpb"; then
  printf '\nNo release: proto/ has what level %s of the API has not; raise APILevel in internal/control/level.go if that level is released, and run make generate-level.\n' "$level"
fi
printf '\nNothing was published. What would publish it:\n'
printf '  gh release create v%s' "$version"
for file in "$out"/fanoutd-"$version"-*-*.tar.gz "$out/SHA256SUMS"; do printf ' %s' "$file"; done
echo
for file in "${npm_files[@]}"; do printf '  npm publish --access public %s\n' "$file"; done
printf '  twine upload'
printf ' %s' "${python_files[@]}"
echo
