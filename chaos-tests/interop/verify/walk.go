package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// tileHeight is that of C2SP tlog-tiles: 256 hashes a tile.
const tileHeight = 8

// A log is a public log, read over HTTPS: https://c2sp.org/tlog-tiles
type log struct {
	url    string
	client *http.Client
	// requests that were answered
	requests int
}

// openLog reads the authority that names the log's server.
func openLog(url, authority string) (*log, error) {
	pem, err := os.ReadFile(authority)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: no certificate", authority)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	client := &http.Client{Transport: transport, Timeout: 20 * time.Second}
	return &log{url: strings.TrimSuffix(url, "/"), client: client}, nil
}

func (l *log) get(path string) ([]byte, error) {
	response, err := l.client.Get(l.url + "/" + path)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s: %s", path, response.Status, body)
	}
	l.requests++
	return body, nil
}

// Height is that of all tiles.
func (l *log) Height() int { return tileHeight }

// SaveTiles keeps nothing.
func (l *log) SaveTiles([]tlog.Tile, [][]byte) {}

// ReadTiles fetches tiles. Go's paths name the height, those of tlog-tiles do not.
func (l *log) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, tile := range tiles {
		path := "tile/" + strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/", tileHeight))
		bytes, err := l.get(path)
		if err != nil {
			return nil, err
		}
		data[i] = bytes
	}
	return data, nil
}

// leaf fetches the bundle that holds the entry at index of a tree of size, and takes the entry out.
func (l *log) leaf(index, size int64) ([]byte, error) {
	const width = 1 << tileHeight
	tile := tlog.Tile{H: tileHeight, L: 0, N: index / width, W: width}
	if left := size - tile.N*width; left < width {
		tile.W = int(left)
	}
	bundle, err := l.get("tile/entries/" + strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/0/", tileHeight)))
	if err != nil {
		return nil, err
	}
	for n := int64(0); len(bundle) >= 2; n++ {
		length := int(bundle[0])<<8 | int(bundle[1])
		if len(bundle) < 2+length {
			break
		}
		if n == index%width {
			return bundle[2 : 2+length], nil
		}
		bundle = bundle[2+length:]
	}
	return nil, errors.New("the bundle ends before the entry")
}

// openCheckpoint verifies a signed note and reads the tree out of it.
func openCheckpoint(verifier note.Verifier, text []byte) (tlog.Tree, error) {
	opened, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("checkpoint: %w", err)
	}
	// https://c2sp.org/tlog-checkpoint: origin, size, root
	body := strings.Split(opened.Text, "\n")
	if len(body) < 4 || body[0] != verifier.Name() {
		return tlog.Tree{}, errors.New("checkpoint: origin is not the key's name")
	}
	size, err := parseNumber(body[1])
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("checkpoint size: %w", err)
	}
	root, err := decodeHash(body[2])
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("checkpoint root: %w", err)
	}
	return tlog.Tree{N: size, Hash: root}, nil
}

// walk fetches the newest checkpoint, proves that it extends an older one, and that leaves throughout are in its tree.
// TileHashReader believes no tile that does not lead to the signed root.
func walk(l *log, verifier note.Verifier, older []byte) (string, error) {
	old, err := openCheckpoint(verifier, older)
	if err != nil {
		return "", fmt.Errorf("older %w", err)
	}
	newest, err := l.get("checkpoint")
	if err != nil {
		return "", err
	}
	tree, err := openCheckpoint(verifier, newest)
	if err != nil {
		return "", err
	}
	reader := tlog.TileHashReader(tree, l)
	if old.N < tree.N {
		proof, err := tlog.ProveTree(tree.N, old.N, reader)
		if err != nil {
			return "", fmt.Errorf("consistency: %w", err)
		}
		if err := tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash); err != nil {
			return "", fmt.Errorf("consistency of %d and %d: %w", old.N, tree.N, err)
		}
	} else if old != tree {
		return "", fmt.Errorf("the log has %d leaves and had %d, or another root", tree.N, old.N)
	}
	checked := 0
	for _, index := range []int64{0, 1, old.N - 1, old.N, tree.N / 2, tree.N - 2, tree.N - 1} {
		if index < 0 || index >= tree.N {
			continue
		}
		leaf, err := l.leaf(index, tree.N)
		if err != nil {
			return "", fmt.Errorf("leaf %d: %w", index, err)
		}
		proof, err := tlog.ProveRecord(tree.N, index, reader)
		if err != nil {
			return "", fmt.Errorf("leaf %d: %w", index, err)
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(leaf)); err != nil {
			return "", fmt.Errorf("leaf %d: %w", index, err)
		}
		checked++
	}
	return fmt.Sprintf("%d leaves extend %d; %d leaves included; %d requests", tree.N, old.N, checked, l.requests), nil
}

// runWalk is the command line: walk VKEY URL AUTHORITY OLDER.
func runWalk(arguments []string) int {
	if len(arguments) != 4 {
		fmt.Fprintln(os.Stderr, "usage: verify walk VKEY https://HOST:PORT AUTHORITY.pem OLDER.checkpoint")
		return 2
	}
	verifier, err := note.NewVerifier(arguments[0])
	if err != nil {
		fmt.Fprintln(os.Stderr, "verifier key:", err)
		return 2
	}
	l, err := openLog(arguments[1], arguments[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	older, err := os.ReadFile(arguments[3])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	said, err := walk(l, verifier, older)
	if err != nil {
		fmt.Println("REJECTED:", err)
		return 1
	}
	fmt.Println("verified:", said)
	return 0
}
