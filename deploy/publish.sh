#!/bin/bash
# Images and plugin of `./justw images --release` -> images and chart in a registry, and the files of a release (IO: buildah, skopeo, helm).
#
# usage: [OUT=dist] [PLUGINS=DIR] [SBOMS=DIR] [PLAIN_HTTP=1] publish.sh REGISTRY VERSION FOLDER...
#   REGISTRY    such as registry.example.com/jupyter-k8s. Credentials: ~/.docker/config.json (docker login, or skopeo login --authfile)
#   FOLDER      one for each architecture
#   PLUGINS     folder with plugin-SYSTEM-ARCHITECTURE/kubectl-workspace[.exe] of other systems than Linux
#   SBOMS       folder with what sboms.sh wrote
#   PLAIN_HTTP  the registry has no TLS
set -euo pipefail
if [ $# -lt 3 ]; then
  sed -n '2,9s/^# \?//p' "$0" >&2
  exit 2
fi
for tool in git buildah skopeo "${HELM:-helm}"; do
  command -v "$tool" >/dev/null || { echo "$tool is missing: install it (helm: set HELM to its path, or install it)" >&2; exit 1; }
done
registry=$1 version=$2
shift 2
root=$(cd "$(dirname "$0")/.." && pwd)
out=${OUT:-$root/dist} helm=${HELM:-helm}
own=$(sed -n 's/^version: //p' "$root/charts/jupyter-k8s/Chart.yaml")
case $version in
  "$own" | "$own"-*) ;;
  *)
    echo "VERSION must be $own, as in Chart.yaml, or a pre-release such as $own-rc.1, not $version" >&2
    exit 1
    ;;
esac
notes=$(awk -v version="## $own" '$0 == version {on = 1; next} /^## / {on = 0} on' "$root/CHANGELOG.md")
if [ -z "$notes" ]; then
  echo "CHANGELOG.md must have a section \"## $own\", which says what the version changes for its users" >&2
  exit 1
fi
tls=() http=()
[ -z "${PLAIN_HTTP:-}" ] || tls=(--tls-verify=false) http=(--plain-http)

# The chart is pushed last. So there is a version once there is its chart, and then nothing of it is written again.
chart=$registry/jupyter-k8s:$version
if answer=$(skopeo inspect --raw "${tls[@]}" "docker://$chart" 2>&1); then
  echo "$chart is published, and a version is published once: choose another one" >&2
  exit 1
elif ! grep -qiE 'manifest unknown|name unknown|statuscode: 404|artifact .* not found' <<<"$answer"; then
  echo "cannot tell whether $chart exists: $answer" >&2
  exit 1
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Only what an earlier call of this script wrote is replaced.
if [ -n "$(ls -A "$out" 2>/dev/null)" ] && [ ! -e "$out/SHA256SUMS" ]; then
  echo "OUT must be a new folder, and $out has other files: set OUT, or remove it" >&2
  exit 1
fi
rm -rf "$out"
mkdir -p "$out"
# What git has: files of values with passwords may lie beside them.
git -C "$root" archive HEAD charts/jupyter-k8s | tar -x -C "$work"
source=$work/charts/jupyter-k8s
# The annotations are the last key of the file.
echo "  org.opencontainers.image.revision: $(git -C "$root" rev-parse HEAD)" >>"$source/Chart.yaml"
case $version in *-*) echo '  artifacthub.io/prerelease: "true"' >>"$source/Chart.yaml" ;; esac
echo '  artifacthub.io/images: |' >>"$source/Chart.yaml"
sed -i "/^global:/,/^\$/s|^  imageRegistry: .*|  imageRegistry: $registry|" "$source/values.yaml"

list() { buildah --root "$work/storage" --runroot "$work/run" --storage-driver vfs manifest "$@" >/dev/null; }
images=(operator webhook gateway portal application=jk8s-application-jupyter-uv proxy=traefik identity=keycloak)
# A release may do without these.
for name in $(sed -n 's/^  image: //p' "$source/applications.yaml"); do
  if [ -e "$1/$name.tar" ]; then
    images+=("$name=jk8s-application-$name")
  else
    echo "without the image $name, which $1 does not have: this chart's users cannot be offered its application" >&2
  fi
done
push() { # NAME=REPOSITORY FOLDER...; sets name, repository and digest
  name=${1%=*} repository=${1#*=}
  list create "$name"
  for folder in "${@:2}"; do
    list add "$name" "oci-archive:$folder/$name.tar"
  done
  list push --all --quiet "${tls[@]}" --digestfile "$work/digest" "$name" "docker://$registry/$repository:$version"
  digest=$(cat "$work/digest")
  echo "$registry/$repository:$version@$digest" | tee -a "$out/images.txt"
}
# Those of deploy/samples/jupyterhub (`./justw images --hub`) are no part of the chart.
for image in hub=hub hub-proxy=hub-proxy jupyter-uv-hub=jk8s-application-jupyter-uv-hub; do
  [ ! -e "$1/${image%=*}.tar" ] || push "$image" "$@"
done
for image in "${images[@]}"; do
  push "$image" "$@"
  echo "    - {name: $name, image: $registry/$repository:$version@$digest}" >>"$source/Chart.yaml"
  sed -i "/^images:/,/^\$/s|^  $name: .*|  $name: {repository: $repository, tag: \"$version\", digest: \"$digest\"}|" "$source/values.yaml"
done
if [ "$(grep -c "^  [a-z0-9-]*: {repository: .*digest: \"sha256:" "$source/values.yaml")" != ${#images[@]} ] ||
  ! grep -qFx "  imageRegistry: $registry" "$source/values.yaml"; then
  echo "the defaults of the chart cannot be written: values.yaml must have a line for imageRegistry and for each image" >&2
  exit 1
fi

cd "$out"
"$helm" package "$source" --version "$version" --app-version "$version" --destination .
package=jupyter-k8s-$version.tgz
"$helm" show crds "$package" >crds.yaml
"$helm" template jupyter-k8s "$package" --namespace jupyter-k8s-system --include-crds --no-hooks \
  --values "$source/ci/install-values.yaml" >install.yaml

# For `kubectl krew install --manifest`.
uri=https://github.com/jupyter-ai-contrib/jupyter-k8s
cat >workspace.yaml <<END
apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata: {name: workspace}
spec:
  version: v$version
  homepage: $uri
  shortDescription: Create, open, share and explain workspaces
  description: Works with the workspaces of jupyter-k8s, JupyterLab and VS Code for many users.
  platforms:
END
cd - >/dev/null
plugin() { # SYSTEM ARCHITECTURE FILE
  archive=kubectl-workspace-$version-$1-$2.tar.gz program=${3##*/}
  tar -czf "$out/$archive" --owner=0 --group=0 --mode=755 -C "${3%/*}" "$program" -C "$root" LICENSE
  cat >>"$out/workspace.yaml" <<END
    - selector: {matchLabels: {os: $1, arch: $2}}
      uri: $uri/releases/download/v$version/$archive
      sha256: $(sha256sum "$out/$archive" | cut -d' ' -f1)
      bin: $program
      files: [{from: $program, to: .}, {from: LICENSE, to: .}]
END
}
for folder; do
  plugin linux "$(skopeo inspect --format '{{.Architecture}}' "oci-archive:$folder/operator.tar")" "$folder/kubectl-workspace"
done
if [ -n "${PLUGINS:-}" ]; then
  for file in "$PLUGINS"/plugin-*/kubectl-workspace*; do
    folder=${file%/*}
    platform=${folder##*/plugin-}
    plugin "${platform%-*}" "${platform##*-}" "$file"
  done
fi
echo "$notes" >"$out/notes.md"
[ -z "${SBOMS:-}" ] || cp "$SBOMS"/*.spdx.json "$out"
(cd "$out" && sha256sum -- * >"$work/sums" && mv "$work/sums" SHA256SUMS)
"$helm" push "${http[@]}" "$out/$package" "oci://$registry"
echo "helm install jupyter-k8s oci://$registry/jupyter-k8s --version $version"
echo "keep $out/$package for the tests of upgrades: charts/released/README.md says how"
