"""Sums what `perf report -F sample,sym` prints by what the CPU is spent for.

    perf report ... | profile.py BENCH_JSON

Microseconds a record are the shares of what `kho bench` measured by getrusage and /proc: of all nodes and the generator.
"""

import collections
import json
import re
import sys

# The first that matches counts.
PURPOSES = [
    ("kernel", r"^\[k\]"),
    ("Ed25519", r"ed25519|edwards|sha512|bignum|curve25519"),
    ("RSA", r"rsaz?_|RSA|bn_|_mont|multiplier_2x20"),
    ("SHA-256", r"(?i)sha256|hmac|digest|EVP_"),
    ("AES-GCM", r"(?i)aes|gcm|ghash|aead"),
    ("allocator", r"je_|malloc|free$|sdallocx|tcache|rallocx|calloc|arena_|extent|dallocx"),
    ("copying and comparing", r"memmove|memcpy|memset|memcmp"),
    ("RocksDB", r"rocksdb|crc32c|XXH3|LRU|Skip"),
    ("HTTP/2 and gRPC", r"h2::|hyper|tonic|http::|tower|hpack|axum"),
    ("Protocol Buffers", r"prost|bytes::"),
    ("TLS", r"rustls"),
    ("openraft", r"openraft"),
    ("tokio", r"tokio|mio::|parking_lot|pthread|futex"),
    ("metrics, traces, clock", r"tracing|metrics|vdso|clock_gettime"),
    ("tree, state machine", r"kho_ledger"),
    ("Kho, the rest", r"kho_"),
]
TOP = 25


def read(lines):
    """Samples of each symbol."""
    symbols = collections.Counter()
    for line in lines:
        found = re.match(r"\s*(\d+)\s+(\[.\] .*)", line)
        if found:
            symbols[found[2].strip()] += int(found[1])
    return symbols


def purpose(symbol):
    return next((name for name, pattern in PURPOSES if re.search(pattern, symbol)), "other")


def cpu_per_record(report):
    """Microseconds on all nodes and in the generator, of the only series."""
    (series,) = report["series"]
    summary = series["summary"]
    return summary["cpu_us_per_record"]["median"], summary["generator_cpu_us_per_record"]["median"]


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        nodes, generator = cpu_per_record(json.load(file))
    symbols = read(sys.stdin)
    total = sum(symbols.values())
    if not total:
        sys.exit("perf has no samples: may it be used here?")
    purposes = collections.Counter()
    for symbol, samples in symbols.items():
        purposes[purpose(symbol)] += samples
    whole = nodes + generator
    print(f"\nCPU of a record: {nodes:.0f} µs on the nodes, {generator:.0f} in the generator; {total} samples\n")
    for name, samples in purposes.most_common():
        print(f"{name:24} {100 * samples / total:5.1f} %  {whole * samples / total:6.1f} µs")
    print("\nfunctions")
    for symbol, samples in symbols.most_common(TOP):
        print(f"{100 * samples / total:5.1f} %  {symbol[:110]}")


if __name__ == "__main__":
    main()
