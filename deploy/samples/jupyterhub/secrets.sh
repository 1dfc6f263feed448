#!/bin/sh
# Names of people -> Secrets of the sample, with new random values, on standard output (pure but for /dev/urandom).
#
# usage: secrets.sh NAME... | kubectl create -f -
# A password: kubectl get secret people -n jhub -o jsonpath='{.data.alice}' | base64 -d
set -eu
if [ $# = 0 ]; then
  echo "name at least one person who may sign in" >&2
  exit 2
fi
random() { head -c "$1" /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }

cat <<END
apiVersion: v1
kind: Secret
metadata: {name: proxy, namespace: jhub}
stringData: {token: "$(random 32)"}
---
apiVersion: v1
kind: Secret
metadata: {name: people, namespace: jhub}
stringData:
END
for name; do
  case $name in
    *[!a-z0-9._-]* | .* | '')
      echo "a name must have only a-z, 0-9, '.', '_' and '-', and not begin with '.'; it is: $name" >&2
      exit 2
      ;;
  esac
  echo "  \"$name\": \"$(random 16)\""
done
