#!/bin/sh
# Make ./configure from configure.ac; needed once in a fresh clone.
set -e
cd "$(dirname "$0")"
mkdir -p build-aux m4
exec autoreconf --install --warnings=all
