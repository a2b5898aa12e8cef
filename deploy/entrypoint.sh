#!/bin/sh
# Puts the image's machine code where this process may write, and becomes the command: numba uses
# no directory that is read-only, even where it would have nothing to write.
set -eu
baked=${NEXTBEST_BAKED_KERNELS:-/opt/nextbest-kernels}
if [ -n "${NUMBA_CACHE_DIR:-}" ] && [ -d "$baked" ] && [ ! -e "$NUMBA_CACHE_DIR" ]; then
    # Beside it first: a second process of the same volume must not see half of it.
    fresh=$NUMBA_CACHE_DIR.$$
    cp -R "$baked" "$fresh"
    mv -T "$fresh" "$NUMBA_CACHE_DIR" 2> /dev/null || rm -rf "$fresh"
fi
case ${1:-} in
    -*) set -- nextbest "$@" ;;
esac
exec "$@"
