#!/bin/sh
# Root of unpacked but not configured Debian packages -> a base for programs that need glibc and nothing else.
# Does what of the packages' own scripts matters, and takes away all programs: no shell, nothing to run but what is added.
set -eu
cd "$1"

cp usr/share/base-passwd/passwd.master etc/passwd
cp usr/share/base-passwd/group.master etc/group
echo 'nonroot:x:65532:65532:nonroot:/nonexistent:/usr/sbin/nologin' >> etc/passwd
echo 'nonroot:x:65532:' >> etc/group
printf '%s\n' 'passwd: files' 'group: files' 'hosts: files dns' > etc/nsswitch.conf
cat usr/share/ca-certificates/mozilla/*.crt > etc/ssl/certs/ca-certificates.crt

rm -rf bin/* sbin/* usr/bin/* usr/sbin/* etc/ssl/openssl.cnf usr/lib/ssl usr/lib/*/engines-* usr/lib/*/ossl-modules \
    usr/lib/*/libssl.so.* usr/lib/*/libcrypto.so.* usr/lib/*/gconv usr/share/perl5 usr/share/bash-completion \
    usr/share/debconf usr/share/lintian usr/share/pixmaps var/lib/dpkg/info var/lib/dpkg/alternatives
