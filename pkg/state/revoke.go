package state

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/xdp-port/xdp-port/pkg/attachment"
	"github.com/xdp-port/xdp-port/pkg/bpffs"
)

// ErrRevoked is returned by Attach when the key was detached while it was at
// work: a container runtime that was restarted may not know that its ADD still
// runs.
var ErrRevoked = errors.New("DEL came before ADD was done")

// revoke has those who are attaching the key now give up. The state must be
// locked.
func (s *Store) revoke(key Key) error {
	making, err := s.making(key)
	for _, folder := range making {
		err = errors.Join(err, revokeClaim(folder))
	}
	if err != nil {
		return fmt.Errorf("%w: revoke an ADD: %w", bpffs.ErrUnusable, err)
	}
	return nil
}

// revokeClaim has nothing to do where another DEL came before, or where the ADD
// has given up by itself: without the lock, if it could not have that back.
func revokeClaim(folder attachment.Folder) error {
	err := os.Mkdir(revocation(folder), 0o700)
	if errors.Is(err, os.ErrExist) || errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// revocation is there if the attachment that a folder was claimed for is not
// wanted any more.
func revocation(folder attachment.Folder) string { return filepath.Join(string(folder), "revoked") }

// alone returns an error wrapping bpffs.ErrBusy if somebody is attaching the key
// already, which no runtime should have two do at once.
func (s *Store) alone(key Key) error {
	making, err := s.making(key)
	if err == nil && len(making) > 0 {
		err = fmt.Errorf("%w: another process attaches the same interface", bpffs.ErrBusy)
	}
	return err
}

// making returns the folders that were claimed for attachments of the key.
func (s *Store) making(key Key) ([]attachment.Folder, error) {
	rulesets, err := s.listRulesets()
	if err != nil {
		return nil, err
	}
	var making []attachment.Folder
	for _, ruleset := range rulesets {
		for _, folder := range claimsOf(ruleset) {
			if strings.HasPrefix(filepath.Base(string(folder)), claimPrefix(key)) {
				making = append(making, folder)
			}
		}
	}
	return making, nil
}

// claimPrefix tells for whom a folder is claimed, by its name alone.
func claimPrefix(key Key) string {
	sum := sha256.Sum256([]byte(key.encode()))
	return hex.EncodeToString(sum[:8]) + "-"
}
