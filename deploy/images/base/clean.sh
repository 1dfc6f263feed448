#!/bin/sh
# Root file system -> the same without documentation (licences stay), without what it took over from the machine it was made on, and
# without host keys, which openssh-server makes.
set -eu
cd "$1"
find usr/share/doc -type f ! -name copyright -delete
rm -rf usr/share/man/* usr/share/info/* usr/share/locale/*
rm -rf etc/hostname etc/resolv.conf etc/ssh/ssh_host_* etc/apt/sources.list etc/apt/sources.list.d/* etc/apt/apt.conf.d/99mmdebstrap \
    var/cache/apt var/cache/debconf/*-old var/cache/ldconfig var/lib/apt/lists/* var/log/*
