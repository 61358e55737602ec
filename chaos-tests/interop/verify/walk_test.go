package main

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A published log in memory, which may lie.
type published struct {
	verifier note.Verifier
	signer   note.Signer
	leaves   []string
	stored   hashes
}

func publish(t *testing.T, size int, leaf func(int) string) *published {
	t.Helper()
	secret, public, err := note.GenerateKey(rand.Reader, "cluster/1/0011223344556677")
	if err != nil {
		t.Fatal(err)
	}
	p := &published{}
	if p.signer, err = note.NewSigner(secret); err != nil {
		t.Fatal(err)
	}
	if p.verifier, err = note.NewVerifier(public); err != nil {
		t.Fatal(err)
	}
	p.fill(t, size, leaf)
	return p
}

func (p *published) fill(t *testing.T, size int, leaf func(int) string) {
	t.Helper()
	p.leaves, p.stored = nil, nil
	for n := 0; n < size; n++ {
		text := leaf(n)
		more, err := tlog.StoredHashes(int64(n), []byte(text), p.stored)
		if err != nil {
			t.Fatal(err)
		}
		p.leaves, p.stored = append(p.leaves, text), append(p.stored, more...)
	}
}

func (p *published) checkpoint(size int64) []byte {
	root, err := tlog.TreeHash(size, p.stored)
	if err != nil {
		panic(err)
	}
	signed, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", p.signer.Name(), size, root)}, p.signer)
	if err != nil {
		panic(err)
	}
	return signed
}

func (p *published) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	if path == "checkpoint" {
		w.Write(p.checkpoint(int64(len(p.leaves))))
		return
	}
	entries := strings.HasPrefix(path, "tile/entries/")
	path = strings.Replace(path, "tile/entries/", "tile/0/", 1)
	tile, err := tlog.ParseTilePath(strings.Replace(path, "tile/", "tile/8/", 1))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if entries {
		for _, leaf := range p.leaves[tile.N*256 : tile.N*256+int64(tile.W)] {
			w.Write(binary.BigEndian.AppendUint16(nil, uint16(len(leaf))))
			w.Write([]byte(leaf))
		}
		return
	}
	data, err := tlog.ReadTileData(tile, p.stored)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	w.Write(data)
}

func honest(n int) string { return fmt.Sprintf("leaf %d", n) }

func (p *published) walked(t *testing.T, older []byte) error {
	t.Helper()
	server := httptest.NewTLSServer(p)
	defer server.Close()
	_, err := walk(&log{url: server.URL, client: server.Client()}, p.verifier, older)
	return err
}

func TestAnHonestLogIsWalked(t *testing.T) {
	for _, size := range []int{1, 2, 255, 256, 257, 600} {
		p := publish(t, size, honest)
		for _, old := range []int64{1, int64(size+1) / 2, int64(size)} {
			if err := p.walked(t, p.checkpoint(old)); err != nil {
				t.Errorf("%d in %d: %v", old, size, err)
			}
		}
	}
}

func TestAForkedAndAShrunkLogAreCaught(t *testing.T) {
	p := publish(t, 600, honest)
	older := p.checkpoint(300)
	p.fill(t, 600, func(n int) string {
		if n == 17 {
			return "another"
		}
		return honest(n)
	})
	if err := p.walked(t, older); err == nil {
		t.Error("a forked log was accepted")
	}
	p.fill(t, 299, honest)
	if err := p.walked(t, older); err == nil {
		t.Error("a shrunk log was accepted")
	}
}

func TestTilesAndBundlesOfAnotherTreeAreRejected(t *testing.T) {
	p := publish(t, 600, honest)
	older := p.checkpoint(300)
	p.stored[tlog.StoredHashIndex(0, 599)][0] ^= 1
	if err := p.walked(t, older); err == nil {
		t.Error("a changed hash was accepted")
	}
	p = publish(t, 600, honest)
	p.leaves[599] = "another"
	if err := p.walked(t, p.checkpoint(300)); err == nil {
		t.Error("a changed leaf was accepted")
	}
}
