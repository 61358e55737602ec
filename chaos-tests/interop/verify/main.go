// Verify checks Kho's receipts and its public log with nothing of Kho, by the Go checksum database's
// own packages note (checkpoint signature) and tlog (inclusion, consistency, tiles, RFC 6962).
//
//	verify VKEY FILE.tlog-proof...
//	verify walk VKEY https://HOST:PORT AUTHORITY.pem OLDER.checkpoint
//
// Prints a line per file or walk and exits with 1 if any does not verify.
package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "walk" {
		os.Exit(runWalk(os.Args[2:]))
	}
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: verify VKEY FILE.tlog-proof...")
		os.Exit(2)
	}
	verifier, err := note.NewVerifier(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "verifier key:", err)
		os.Exit(2)
	}
	failed := false
	for _, file := range os.Args[2:] {
		text, err := os.ReadFile(file)
		if err == nil {
			err = verify(verifier, string(text))
		}
		if err != nil {
			failed = true
			fmt.Printf("%s: REJECTED: %v\n", file, err)
			continue
		}
		fmt.Printf("%s: verified\n", file)
	}
	if failed {
		os.Exit(1)
	}
}

// verify checks one tlog-proof: https://c2sp.org/tlog-proof
func verify(verifier note.Verifier, text string) error {
	head, checkpoint, ok := strings.Cut(text, "\n\n")
	if !ok {
		return errors.New("no empty line before the checkpoint")
	}
	lines := strings.Split(head, "\n")
	if len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return errors.New("not a c2sp.org/tlog-proof@v1 with extra and index")
	}
	extra, ok := cut(lines[1], "extra ")
	if !ok {
		return errors.New("no line \"extra\", which holds the leaf")
	}
	leaf, err := decode(extra)
	if err != nil {
		return fmt.Errorf("leaf: %w", err)
	}
	number, ok := cut(lines[2], "index ")
	if !ok {
		return errors.New("no line \"index\"")
	}
	index, err := parseNumber(number)
	if err != nil {
		return fmt.Errorf("index: %w", err)
	}
	var proof tlog.RecordProof
	for _, line := range lines[3:] {
		hash, err := decodeHash(line)
		if err != nil {
			return fmt.Errorf("inclusion proof: %w", err)
		}
		proof = append(proof, hash)
	}

	tree, err := openCheckpoint(verifier, []byte(checkpoint))
	if err != nil {
		return err
	}
	return tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(leaf))
}

func cut(line, prefix string) (string, bool) {
	return strings.TrimPrefix(line, prefix), strings.HasPrefix(line, prefix)
}

func decode(text string) ([]byte, error) {
	return base64.StdEncoding.Strict().DecodeString(text)
}

// parseNumber takes decimals in their one form only.
func parseNumber(text string) (int64, error) {
	number, err := strconv.ParseInt(text, 10, 64)
	if err == nil && strconv.FormatInt(number, 10) != text {
		err = fmt.Errorf("%q is not in canonical form", text)
	}
	return number, err
}

func decodeHash(text string) (hash tlog.Hash, err error) {
	bytes, err := decode(text)
	if err == nil && len(bytes) != tlog.HashSize {
		err = fmt.Errorf("%d bytes are no SHA-256", len(bytes))
	}
	copy(hash[:], bytes)
	return hash, err
}
