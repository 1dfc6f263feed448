# Jobs of this repository. Each is one call of the project's own tool; what they do is in crates/xtask.
# `./justw <job>` is the same as `just <job>`, and installs just when it is missing.

set positional-arguments := true

xtask := "cargo run -q --bin xtask --"

# List the jobs
[private]
default:
    @"{{ just_executable() }}" --justfile "{{ justfile() }}" --list --unsorted

# The tool of all jobs
[private]
[no-exit-message]
tool:
    @python3 crates/xtask/tool.py

# A workspace to log in to: cluster, images, chart, users; `demo down` removes the cluster
[no-exit-message]
[group('use')]
demo *args: tool
    @{{ xtask }} demo "$@"

# Everything that must pass: generated files, format, lints, unit, cluster and browser tests
[no-exit-message]
[group('develop')]
test *args: tool
    @{{ xtask }} test "$@"

# Generated files, format, lints, licences and sources of dependencies; no cluster
[no-exit-message]
[group('develop')]
check: tool
    @{{ xtask }} check

# Write what is generated: CRDs, docs/api.md, docs/reasons.md, docs/kubectl-workspace.md, and the chart's table of values
[no-exit-message]
[group('develop')]
gen *args: tool
    @{{ xtask }} gen "$@"

# Measure the product beside references: processor, times, memory, objects; `--only operator` needs a cluster with the product and kwok
[no-exit-message]
[group('develop')]
bench *args:
    @cargo build --release --package door
    @cargo run --release --package bench -- "$@"

# The local cluster: up, down, status, import (new images), kubeconfig (of a user), kwok (fake nodes)
[no-exit-message]
[group('cluster')]
cluster *args: tool
    @{{ xtask }} cluster "$@"

# Build the images whose sources have changed; `--release DIR`: those to publish, with the kubectl plugin; `--hub`: those of JupyterHub too
[no-exit-message]
[group('cluster')]
images *args: tool
    @{{ xtask }} images "$@"
