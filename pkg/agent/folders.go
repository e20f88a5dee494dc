package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/xdp-port/xdp-port/pkg/install"
)

func (a *agent) openFolders(ctx context.Context) error {
	err := errors.Join(install.CheckFolder("--bin-dir", a.options.Programs), install.CheckFolder("--net-dir", a.options.Networks.Folder))
	if err != nil {
		return err
	}
	if a.programs, err = install.OpenFolder(a.options.Programs); err != nil {
		return err
	}
	if a.networks, err = install.OpenFolder(a.options.Networks.Folder); err != nil {
		a.programs.Close()
		return err
	}
	a.watchConflists(ctx)
	return nil
}

func (a *agent) closeFolders() {
	a.stopWatching()
	a.programs.Close()
	a.networks.Close()
}

func (a *agent) watchConflists(ctx context.Context) {
	ctx, a.stopWatching = context.WithCancel(ctx)
	a.conflists = a.watch(ctx, a.options.Networks.Folder)
}

// findFolders opens folders again that have been replaced. It fails if a folder was removed
// and no other is visible: in a container only a restart makes it visible.
func (a *agent) findFolders(ctx context.Context) (moved bool, err error) {
	movedNetworks, err := a.find(ctx, &a.networks)
	if err != nil {
		return false, err
	}
	if movedNetworks {
		a.stopWatching()
		a.watchConflists(ctx)
	}
	movedPrograms, err := a.find(ctx, &a.programs)
	if err != nil {
		return false, err
	}
	if movedPrograms {
		a.installPrograms("the folder of the plugins was replaced: a program is installed there")
	}
	return movedNetworks || movedPrograms, nil
}

// find opens the folder again if another one is at its path.
func (a *agent) find(ctx context.Context, folder *install.Folder) (moved bool, err error) {
	fate := folder.Fate()
	if fate == install.Removed {
		fate = waitForFolder(ctx, *folder)
	}
	switch fate {
	case install.Stays:
		return false, nil
	case install.Removed:
		return false, fmt.Errorf("%s was removed, and no other is visible in its place: restart the agent", folder.Path())
	}
	now, err := install.OpenFolder(folder.Path())
	if err != nil {
		return false, err
	}
	a.log.Warn("a folder was replaced", "folder", now.Path(), "is", now.Resolved(), "was", folder.Resolved())
	folder.Close()
	*folder = now
	return true, nil
}

// waitForFolder gives the process that removed the folder a second to replace it.
func waitForFolder(ctx context.Context, folder install.Folder) install.Fate {
	select {
	case <-ctx.Done():
		return install.Stays
	case <-time.After(time.Second):
		return folder.Fate()
	}
}
