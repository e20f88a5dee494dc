package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/attachment"
	"github.com/xdp-port/xdp-port/pkg/bpffs"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/pin"
)

// claim is a folder of an attachment in the making or in removal. It lies in
// its ruleset, which therefore stays, and is locked: without its lock it is a
// dead process's.
type claim struct {
	folder attachment.Folder
	lock   *os.File
}

// claims is where a ruleset has them.
func claims(ruleset datapath.Dir) string { return filepath.Join(string(ruleset), "claims") }

// claimsOf returns the folders of the claims of a ruleset.
func claimsOf(ruleset datapath.Dir) (folders []attachment.Folder) {
	for _, folder := range foldersIn(claims(ruleset)) {
		folders = append(folders, attachment.Folder(folder))
	}
	return folders
}

// claim makes an empty one, for an attachment of the key. The state must be
// locked.
func (s *Store) claim(ruleset datapath.Dir, key Key) (*claim, error) {
	return s.makeClaim(ruleset, claimPrefix(key))
}

// hold makes one that is for nothing but to keep the ruleset.
func (s *Store) hold(ruleset datapath.Dir) (*claim, error) { return s.makeClaim(ruleset, "") }

func (s *Store) makeClaim(ruleset datapath.Dir, prefix string) (*claim, error) {
	folder, err := s.makeFolder(claims(ruleset), prefix)
	if err != nil {
		return nil, err
	}
	return claimOf(attachment.Folder(folder))
}

// claimPublished moves a published attachment out of sight, at once. The state
// must be locked.
func (s *Store) claimPublished(a published) (*claim, error) {
	folder, err := s.freeName(claims(a.ruleset), "")
	if err != nil {
		return nil, err
	}
	if err := os.Rename(string(a.folder), folder); err != nil {
		return nil, fmt.Errorf("%w to move %s out of the way: %w", pin.ErrPin, a.folder, err)
	}
	return claimOf(attachment.Folder(folder))
}

func claimOf(folder attachment.Folder) (*claim, error) {
	lock, err := bpffs.TryLock(string(folder))
	if err != nil {
		return nil, errors.Join(err, discard(folder))
	}
	return &claim{folder, lock}, nil
}

// discard removes the claim and what is in it.
func (c *claim) discard() error {
	err := discard(c.folder)
	return errors.Join(err, c.lock.Close())
}

// publish moves the attachment to where it belongs, unless that was revoked. The
// state must be locked.
func (c *claim) publish(path attachment.Folder) error {
	if err := c.checkRevoked(); err != nil {
		return err
	}
	if err := publish(c.folder, path); err != nil {
		return err
	}
	return c.lock.Close()
}

// checkRevoked returns ErrRevoked if what the claim is for is not wanted any more.
// The state must be locked.
func (c *claim) checkRevoked() error {
	switch _, err := os.Stat(revocation(c.folder)); {
	case err == nil:
		return ErrRevoked
	case !errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%w: publish: %w", bpffs.ErrUnusable, err)
	}
	return nil
}

// isAlive tells whether the process that claimed a folder lives.
func isAlive(folder attachment.Folder) bool {
	lock, err := bpffs.TryLock(string(folder))
	if err != nil {
		return errors.Is(err, unix.EWOULDBLOCK)
	}
	lock.Close()
	return false
}
