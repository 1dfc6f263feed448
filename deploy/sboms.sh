#!/bin/bash
# Images and plugins of a release -> a list of the software in each, as SPDX in JSON (IO: skopeo, syft).
#
# usage: [SYFT=syft] [PLUGINS=DIR] sboms.sh OUT VERSION FOLDER...
#   FOLDER, PLUGINS  as for publish.sh
#
# Of our programs, syft lists the crates only if `cargo auditable` built them.
set -euo pipefail
if [ $# -lt 3 ]; then
  sed -n '2,7s/^# \?//p' "$0" >&2
  exit 2
fi
out=$1 version=$2 syft=${SYFT:-syft}
shift 2
mkdir -p "$out"
list() { # SOURCE NAME
  "$syft" scan --quiet --source-name "$2" --source-version "$version" --output "spdx-json=$out/$2.spdx.json" "$1"
}
for folder; do
  architecture=$(skopeo inspect --format '{{.Architecture}}' "oci-archive:$folder/operator.tar")
  for archive in "$folder"/*.tar; do
    name=${archive##*/}
    list "oci-archive:$archive" "image-${name%.tar}-$version-linux-$architecture"
  done
  list "file:$folder/kubectl-workspace" "kubectl-workspace-$version-linux-$architecture"
done
[ -z "${PLUGINS:-}" ] || for file in "$PLUGINS"/plugin-*/kubectl-workspace*; do
  folder=${file%/*}
  list "file:$file" "kubectl-workspace-$version-${folder##*/plugin-}"
done
