package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/xdp-port/xdp-port/pkg/install"
)

// folders are those that an agent keeps.
type folders struct {
	networks, programs install.Folder
	// conflists reports changes in the networks' folder, until stopWatching.
	conflists    <-chan struct{}
	stopWatching context.CancelFunc
}

func (a *agent) openFolders(ctx context.Context) (err error) {
	err = errors.Join(checkFolder("--bin-dir", a.options.bin), checkFolder("--net-dir", a.options.networks.Folder))
	if err != nil {
		return err
	}
	if a.programs, err = install.OpenFolder(a.options.bin); err != nil {
		return err
	}
	if a.networks, err = install.OpenFolder(a.options.networks.Folder); err != nil {
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
	a.conflists = a.watch(ctx, a.options.networks.Folder)
}

// findFolders goes on with folders that are others now, and fails where none is
// seen any more: in a container only a new one sees what is there now.
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
		a.installPrograms("the folder of the plugins is another one: a program is installed there")
	}
	return movedNetworks || movedPrograms, nil
}

// find opens the folder again if another is at its path.
func (a *agent) find(ctx context.Context, folder *install.Folder) (moved bool, err error) {
	fate := folder.Fate()
	if fate == install.Lost {
		fate = a.lookAgain(ctx, *folder)
	}
	switch fate {
	case install.Stays:
		return false, nil
	case install.Lost:
		return false, fmt.Errorf("%s was removed, and none is seen in its place: the agent must be started anew", folder.Path())
	}
	now, err := install.OpenFolder(folder.Path())
	if err != nil {
		return false, err
	}
	a.log.Warn("a folder is another one now", "folder", now.Path(), "is", now.Resolved(), "was", folder.Resolved())
	folder.Close()
	*folder = now
	return true, nil
}

// lookAgain gives those a second who put another folder, or link, in its place.
func (a *agent) lookAgain(ctx context.Context, folder install.Folder) install.Fate {
	select {
	case <-ctx.Done():
		return install.Stays
	case <-time.After(time.Second):
		return folder.Fate()
	}
}
