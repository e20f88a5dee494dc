package state

import (
	"github.com/xdp-port/xdp-port/pkg/bpffs"
	"github.com/xdp-port/xdp-port/pkg/datapath"
)

// OpenForChange begins a transaction. It makes the state folder, and the mount, if they
// are missing. It recovers or removes the unfinished work of dead processes. The caller
// must close the transaction.
//
// Errors wrap bpffs.ErrUnusable if there is no BPF file system, and bpffs.ErrBusy if
// the lock is not free within bpffs.LockTimeout.
func OpenForChange() (*Transaction, error) { return begin(bpffs.Change) }

// OpenExisting begins a transaction that only removes, and therefore makes nothing.
// Errors wrap os.ErrNotExist if there is no state.
func OpenExisting() (*Transaction, error) { return begin(bpffs.Remove) }

func begin(purpose bpffs.Purpose) (*Transaction, error) {
	lock, err := lockState(purpose)
	if err != nil {
		return nil, err
	}
	t := &Transaction{tree: tree{bpffs.Folder}, lock: lock}
	t.sweep()
	return t, nil
}

// sweep recovers the unfinished work of dead processes, and removes unused rulesets. What
// fails is left for the next transaction, and keeps nobody from other changes.
func (t *Transaction) sweep() {
	temporary, _ := bpffs.Folders(t.temporaryFolder(), 1)
	for _, folder := range temporary {
		_, _ = ruleset{datapath.Dir(folder)}.isUsed() // removes empty folders after a failed removal
		_ = discard(folder)
	}
	// Former states are attached again last, when nothing else is in their way.
	for _, a := range t.recoverPending() {
		t.recoverSaved(a)
	}
	rulesets, _ := t.rulesets()
	for _, r := range rulesets {
		t.prune(r)
	}
}
