"""Builds the tool that the jobs of the justfile call (IO). The first build takes minutes: one line says every few seconds how far it is."""

import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ["build", "--locked", "--bin", "xtask"]
# Seconds between two lines.
PERIOD = 10
# Lines of cargo that a failure repeats.
TAIL = 30


def main():
    cargo = os.environ.get("CARGO", "cargo")
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
    # `--bin` without `--package` builds the tool with the same features of dependencies as the other crates, so that these are compiled once.
    if (target / "debug/xtask").exists():
        return subprocess.run([cargo, *BUILD, "--quiet"], cwd=ROOT).returncode
    start = last = time.monotonic()
    print("building this project's tool: about 3 minutes on two cores, once; then it lists what comes, and how long that takes", file=sys.stderr)
    fetch()
    total = subprocess.run(
        [cargo, "tree", "--locked", "--package=xtask", "--edges=normal,build", "--prefix=none", "--no-dedupe"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    ).stdout
    total = len(set(total.split("\n")) - {""})
    lines, compiled = [], 0
    with subprocess.Popen([cargo, *BUILD], cwd=ROOT, stderr=subprocess.PIPE, text=True, errors="replace") as build:
        for line in build.stderr:
            lines.append(line)
            compiled += line.lstrip().startswith("Compiling")
            if time.monotonic() - last > PERIOD:
                last = time.monotonic()
                print(f"  {last - start:.0f} s: {compiled} of about {total} crates", file=sys.stderr)
    if build.returncode:
        sys.stderr.writelines(lines[-TAIL:])
        print(
            "error: the tool could not be built. If a host was not found or refused: this needs the package registries of cargo, Go, pip, "
            "Maven and Debian; behind a proxy, set HTTPS_PROXY and run the same again, it continues",
            file=sys.stderr,
        )
    else:
        print(f"built this project's tool in {time.monotonic() - start:.0f} s", file=sys.stderr)
    return build.returncode


def fetch():
    """Downloads the Go modules of the local cluster beside the compiler. What fails here is fetched, or reported, where it is used."""
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    try:
        subprocess.Popen(["go", "list", "-deps", "./..."], cwd=ROOT / "crates/xtask/components/node", **quiet)
    except OSError:
        pass


if __name__ == "__main__":
    try:
        sys.exit(main())
    except FileNotFoundError as error:
        sys.exit(f"error: {error.filename} is not on PATH; ./justw says what is missing")
    except KeyboardInterrupt:
        sys.exit(130)
