#!/usr/bin/env bash
# Submits a report with curl and openssl alone, and saves its receipt.
#   submit.sh UNIT REGIME PERIOD FIGURES.json [SERIES]
# Settings: URL, TRUST (authority of the nodes), CERT and KEY (this system's), SIGNER and SIGNER_KEY (the unit's),
# ALGORITHM (of the signer's key), OUT (a directory, else the current one). FIGURES.json is canonical: docs/formats/report.md.
set -euo pipefail
export LC_ALL=C # lengths in bytes
unit=$1 regime=$2 period=$3 figures=$4 series=${5:-}
: "${URL:?}" "${TRUST:?}" "${CERT:?}" "${KEY:?}" "${SIGNER:?}" "${SIGNER_KEY:?}" "${ALGORITHM:?}" "${OUT:=.}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

kho() { curl -sS --fail-with-body --cacert "$TRUST" --cert "$CERT" --key "$KEY" "$@"; }
text() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" "$work/prepared.json"; }
bytes() { text "$1" | openssl base64 -d -A; }

# 1. The node prepares the header; nothing is stored.
printf '{"unit":"%s","regime":"%s","period":"%s","series":"%s","figures":%s}' \
  "$unit" "$regime" "$period" "$series" "$(cat "$figures")" >"$work/report.json"
kho -H 'Content-Type: application/json' --data-binary @"$work/report.json" "$URL/v1/headers" >"$work/prepared.json" ||
  { cat "$work/prepared.json" >&2; exit 1; }
bytes header >"$work/header"
bytes payload >"$work/payload"

# 2. It must say what the report says, and nothing else: the header is put together here as well (docs/formats/header.md).
octet() { printf "\\$(printf %03o "$1")"; }
varint() {
  local number=$1
  while [ "$number" -gt 127 ]; do octet $((number & 127 | 128)); number=$((number >> 7)); done
  octet "$number"
}
integer() { octet $(($1 << 3)); varint "$2"; }
field() { # NUMBER, its bytes on standard input
  cat >"$work/field"
  local length
  length=$(stat -c %s "$work/field")
  [ "$length" -eq 0 ] || { octet $(($1 << 3 | 2)); varint "$length"; cat "$work/field"; }
}
bytes salt >"$work/salt"
{
  integer 1 1
  text record_id | tr -d - | sed 's/../\\x&/g' | xargs -0 printf | head -c 16 | field 2
  printf %s "$unit" | field 3
  printf %s "$regime" | field 4
  printf %s "$period" | field 5
  printf %s "$series" | field 6
  text submitted_at | tr -d '\n' | field 9
  printf application/json | field 10
  integer 11 "$(stat -c %s "$figures")"
  field 12 <"$work/salt"
  cat "$work/salt" "$figures" | openssl dgst -sha256 -binary | field 13
} >"$work/own"
cmp "$work/own" "$work/header" && cmp "$figures" "$work/payload" ||
  { echo "the header that the node prepared is not that of the report: nothing was signed" >&2; exit 1; }

# 3. The unit signs DSSE's pre-authentication encoding of the header.
type=application/vnd.kho.report-header.v1+protobuf
{ printf 'DSSEv1 %d %s %d ' ${#type} "$type" "$(stat -c %s "$work/header")"; cat "$work/header"; } >"$work/signed"
case $ALGORITHM in
  ed25519) openssl pkeyutl -sign -inkey "$SIGNER_KEY" -rawin -in "$work/signed" -out "$work/signature" ;;
  rsa-pss-sha256)
    openssl dgst -sha256 -sign "$SIGNER_KEY" -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32 \
      -sigopt rsa_mgf1_md:sha256 -out "$work/signature" "$work/signed"
    ;;
  *) openssl dgst -sha256 -sign "$SIGNER_KEY" -out "$work/signature" "$work/signed" ;;
esac

# 4. The signed record; then its receipt, which `kho verify` and others' tools check offline.
kho -F header=@"$work/header" -F payload=@"$work/payload" -F algorithm="$ALGORITHM" -F signature=@"$work/signature" \
  -F certificates=@"$SIGNER" "$URL/v1/records" >"$work/answer.json" || { cat "$work/answer.json" >&2; exit 1; }
id=$(text record_id)
kho -H 'Accept: text/plain' "$URL/v1/records/$id/receipt" >"$OUT/$id.tlog-proof"
kho -H 'Accept: application/octet-stream' "$URL/v1/records/$id" >"$OUT/$id.record"
[ "$(head -n 1 "$OUT/$id.tlog-proof")" = c2sp.org/tlog-proof@v1 ]
echo "accepted: $id"
