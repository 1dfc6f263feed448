#!/bin/sh
# Command of a Jupyter server -> the same behind the door. The activity paths are what the operator may request.
exec /usr/bin/tini -- /usr/local/bin/door --socket /run/workspace/door/application.sock --activity-path /jupyter-k8s/answers \
    --activity-path /api/status --activity-path /api/kernels --activity-path /api/terminals -- "$@"
