package main

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// hashes keeps the tree in memory.
type hashes []tlog.Hash

func (h hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		found[i] = h[index]
	}
	return found, nil
}

// proofOf returns the verifier and a good proof of leaf `index` of a tree of `size` leaves.
func proofOf(t *testing.T, index, size int64) (note.Verifier, string) {
	t.Helper()
	secret, public, err := note.GenerateKey(rand.Reader, "cluster/1/0011223344556677")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	var stored hashes
	for n := int64(0); n < size; n++ {
		more, err := tlog.StoredHashes(n, []byte(fmt.Sprintf("leaf %d", n)), stored)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, more...)
	}
	root, err := tlog.TreeHash(size, stored)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := tlog.ProveRecord(size, index, stored)
	if err != nil {
		t.Fatal(err)
	}
	checkpoint, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", signer.Name(), size, root)}, signer)
	if err != nil {
		t.Fatal(err)
	}
	text := "c2sp.org/tlog-proof@v1\nextra " + base64.StdEncoding.EncodeToString([]byte(fmt.Sprintf("leaf %d", index)))
	text += fmt.Sprintf("\nindex %d\n", index)
	for _, hash := range proof {
		text += hash.String() + "\n"
	}
	return verifier, text + "\n" + string(checkpoint)
}

func TestGoodProofs(t *testing.T) {
	for _, size := range []int64{1, 2, 7, 300} {
		for _, index := range []int64{0, size / 2, size - 1} {
			verifier, text := proofOf(t, index, size)
			if err := verify(verifier, text); err != nil {
				t.Errorf("leaf %d of %d: %v", index, size, err)
			}
		}
	}
}

func TestAnyOtherCharacterIsRejected(t *testing.T) {
	verifier, text := proofOf(t, 5, 9)
	// sumdb/note decodes signatures leniently: in the last character of this one two bits mean nothing
	lenient := len(text) - len("?=\n")
	for place := range []byte(text) {
		if place == lenient {
			continue
		}
		changed := []byte(text)
		changed[place] ^= 1
		if verify(verifier, string(changed)) == nil {
			t.Errorf("accepted with byte %d changed: %q", place, text[place])
		}
	}
	if verify(verifier, strings.Replace(text, "index 5", "index 6", 1)) == nil {
		t.Error("accepted as another leaf")
	}
}
