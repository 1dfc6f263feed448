#!/bin/sh
# Command of a Jupyter server -> the same behind the door. The activity paths are what the operator may request. The background paths are what open
# pages send by themselves: their layout several times a minute, a shared document when it connects again, and the extension for git, which
# people may install.
exec /usr/bin/tini -- /usr/local/bin/door --socket /run/workspace/door/application.sock --activity-path /jupyter-k8s/answers \
    --activity-path /api/status --activity-path /api/kernels --activity-path /api/terminals \
    --background-path /lab/api/workspaces/ --background-path /api/collaboration/session/ --background-path /git/ -- "$@"
