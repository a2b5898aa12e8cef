"""Immutable runs of records: finding one by its key, merging many, making the index.

The index is an open-addressing table of 64-byte buckets, so that a lookup mostly touches one
cache line, and every lookup can tell a damaged bucket from a customer who is not there:

    word 0      checksum of the bucket's number and entries
    1 to 7      entries, the empty ones (0) last: fingerprint of the key << 40 | word of the record

A key belongs into the bucket that its second half's upper bits say, or the next with room; the
lower bits are its fingerprint. A bucket that is not full ends the search.
"""

from __future__ import annotations

import numpy as np

from ._jit import inline, kernel
from .hashing import hash_key
from .layout import I64, U8, U64, Int
from .pack import BAD_CHECKSUM, BAD_LENGTH, FULL, OK, check_row, copy_bytes, mix, unpack_row
from .records_log import fits, id_length, is_named, record_end, row_start

BUCKET = 8
"""Words of a bucket."""
PER_BUCKET = 5
"""Keys of a bucket, on average: of 7 at most."""
_WORD_BITS = np.uint64(40)
_WORD = np.uint64((1 << 40) - 1)
_FINGERPRINT = np.uint64((1 << 24) - 1)
_32 = np.uint64(32)
_ONE = np.uint64(1)


@inline
def _scale(key_2: np.uint64, size: Int) -> Int:
    """Map a key to 0..size-1 by its upper bits, in their order."""
    return np.int64((key_2 >> _32) * np.uint64(size) >> _32)


@inline
def _bucket_sum(index: U64, at: Int, bucket: Int) -> np.uint64:
    h = mix(np.uint64(bucket), np.uint64(BUCKET))
    for j in range(1, BUCKET):
        h = mix(h, index[at + j])
    return h


@inline
def find_record(
    run: U64, text: U8, index: Int, buckets: Int, key_1: np.uint64, key_2: np.uint64
) -> Int:
    """Return the word at which the key's record begins, 0 if there is none.

    ``run`` is uint64, the whole file, ``text`` (uint8) the same memory; ``index`` the word at
    which the index begins. A damaged bucket or record is returned as its word, negative.
    """
    bucket = _scale(key_2, buckets)
    for _ in range(buckets):
        base = index + BUCKET * bucket
        if _bucket_sum(run, base, bucket) != run[base]:
            return -base
        for j in range(1, BUCKET):
            entry = run[base + j]
            if entry == 0:
                return 0
            if entry >> _WORD_BITS == key_2 & _FINGERPRINT:
                at = np.int64(entry & _WORD)
                if not fits(run, at, index):
                    return -at
                first, second = hash_key(text, 8 * (at + 1), id_length(run, at))
                if not is_named(run, at, first):
                    return -at
                if first == key_1 and second == key_2:
                    return at
        bucket = bucket + 1 if bucket + 1 < buckets else 0
    return 0


@kernel
def fetch_rows(
    run: U64,
    index: Int,
    buckets: Int,
    schema_id: Int,
    pending: I64,
    keys: U64,
    memory: U64,
    row_words: Int,
) -> tuple[Int, Int, Int]:
    """Unpack the rows that the run has.

    Parameters
    ----------
    run, index, buckets
        See `find_record`.
    pending
        int64[n]: the slots to look for; receives, at its front, those that were not found.
    keys
        uint64[n, 2]: their keys, moved along with them.
    memory
        uint64: receives row ``slot`` at ``slot * row_words``.

    Returns
    -------
    missing, status, word
        How many were not found; OK or what is wrong, and with what word of the run.
    """
    text = run.view(np.uint8)
    missing = 0
    for i in range(len(pending)):
        at = find_record(run, text, index, buckets, keys[i, 0], keys[i, 1])
        if at < 0:
            return missing, BAD_CHECKSUM, -at
        if at == 0:
            pending[missing] = pending[i]
            keys[missing, 0] = keys[i, 0]
            keys[missing, 1] = keys[i, 1]
            missing += 1
            continue
        status = unpack_row(
            run, row_start(run, at), record_end(run, at), schema_id,
            memory, pending[i] * row_words, row_words,
        )  # fmt: skip
        if status != OK:
            return missing, status, at
    return missing, OK, 0


@kernel
def find_many(run: U64, index: Int, buckets: Int, keys: U64, found: U8) -> Int:
    """Set ``found`` (uint8[n]) where the run has the key; return a damaged word, or 0."""
    text = run.view(np.uint8)
    for i in range(len(keys)):
        at = find_record(run, text, index, buckets, keys[i, 0], keys[i, 1])
        if at < 0:
            return -at
        if at > 0:
            found[i] = 1
    return 0


@kernel
def read_names(
    run: U64, at: Int, end: Int, names: I64, arena: U8, keys: U64
) -> tuple[Int, Int, Int]:
    """List the customers of the records from word ``at`` on, as many as there is room for.

    ``names`` is int64[n, 2], start and length in ``arena`` (uint8[n * MAX_ID_BYTES]); ``keys``
    uint64[n, 2]. Returns how many, the word behind the last of them, and OK or what is wrong
    with the record there.
    """
    text = run.view(np.uint8)
    count = 0
    used: Int = 0
    while count < len(names) and at < end:
        if not fits(run, at, end):
            return count, at, BAD_LENGTH
        length = id_length(run, at)
        keys[count, 0], keys[count, 1] = hash_key(text, 8 * (at + 1), length)
        if not is_named(run, at, keys[count, 0]):
            return count, at, BAD_CHECKSUM
        names[count, 0] = used
        names[count, 1] = length
        used = copy_bytes(arena, used, text, 8 * (at + 1), length)
        count += 1
        at = record_end(run, at)
    return count, at, OK


@kernel
def merge_records(
    source: U64, at: Int, end: Int, schema_id: Int, word: Int, out: U64, seen: U64, sizes: I64
) -> tuple[Int, Int]:
    """Copy the records of ``source[at:end]`` whose keys were not seen yet.

    Parameters
    ----------
    source
        uint64; sources are given newest first, so that the newest record of a key wins.
    word, out
        The word of the run at which ``out`` (uint64) begins.
    seen
        uint64[size, 3]: key and word of every record of the run, by open addressing.
    sizes
        int64[2]: words of ``out`` in use, keys seen.

    Returns
    -------
    at, status
        Where it stopped, and OK, FULL if ``out`` is, or what is wrong with the record there.
    """
    text = source.view(np.uint8)
    while at < end:
        if not fits(source, at, end):
            return at, BAD_LENGTH
        stop = record_end(source, at)
        if sizes[0] + stop - at > len(out):
            return at, FULL
        first, second = hash_key(text, 8 * (at + 1), id_length(source, at))
        if not is_named(source, at, first):
            return at, BAD_CHECKSUM
        place = _scale(second, len(seen))
        while seen[place, 2] and (seen[place, 0] != first or seen[place, 1] != second):
            place = place + 1 if place + 1 < len(seen) else 0
        if seen[place, 2] == 0:
            # Damage must not be copied: the source may be deleted afterwards.
            status = check_row(source, row_start(source, at), stop, schema_id)
            if status != OK:
                return at, status
            seen[place, 0] = first
            seen[place, 1] = second
            seen[place, 2] = np.uint64(word + sizes[0])
            for w in range(stop - at):
                out[sizes[0] + w] = source[at + w]
            sizes[0] += stop - at
            sizes[1] += 1
        at = stop
    return at, OK


@kernel
def build_index(seen: U64, index: U64) -> None:
    """Fill the zeroed index (uint64, whole buckets) with all keys of ``seen``."""
    buckets = len(index) // BUCKET
    for e in range(len(seen)):
        if seen[e, 2]:
            entry = (seen[e, 1] & _FINGERPRINT) << _WORD_BITS | seen[e, 2]
            bucket = _scale(seen[e, 1], buckets)
            j = 1
            while index[BUCKET * bucket + j]:
                j += 1
                if j == BUCKET:
                    j = 1
                    bucket = bucket + 1 if bucket + 1 < buckets else 0
            index[BUCKET * bucket + j] = entry
    for bucket in range(buckets):
        index[BUCKET * bucket] = _bucket_sum(index, BUCKET * bucket, bucket)


@kernel
def checksum(words: U64, count: Int) -> np.uint64:
    """Return a checksum of the first ``count`` words."""
    h = _ONE
    for w in range(count):
        h = mix(h, words[w])
    return h
