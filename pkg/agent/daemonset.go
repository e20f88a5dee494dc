package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/xdp-port/xdp-port/pkg/inspect"
	"github.com/xdp-port/xdp-port/pkg/install"
)

// askPatience limits a question to the API server.
const askPatience = 5 * time.Second

// findDaemonSet checks that leave can tell a deletion from an upgrade: a wrong name or a
// missing permission must not look like a deletion.
func (a *agent) findDaemonSet(ctx context.Context) {
	if a.daemonSet == nil || a.isFound {
		a.record(aboutDaemonSet, nil)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	err := a.daemonSet.Find(ctx)
	if err != nil {
		err = fmt.Errorf("%s or its namespace cannot be read, so its deletion would not uninstall xdp-port: %w", a.options.DaemonSet, err)
	}
	a.isFound = err == nil
	a.record(aboutDaemonSet, err)
}

// leave uninstalls xdp-port if the agent's DaemonSet is being deleted. In an upgrade or a
// reboot, or if the API server does not answer, new containers still get their rules.
func (a *agent) leave() error {
	if a.daemonSet == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), askPatience)
	defer cancel()
	deleted, err := a.daemonSet.IsBeingDeleted(ctx)
	if err != nil || !deleted {
		a.log.Info("the agent ends, xdp-port stays", "error", err)
		return nil
	}
	return a.uninstall()
}

func (a *agent) uninstall() error {
	changed, err := a.options.Networks.Remove()
	for _, path := range changed {
		a.log.Info("the DaemonSet is being deleted: the conflist was restored", "conflist", path)
	}
	if err != nil {
		return err
	}
	a.collect()
	list, err := inspect.Attachments()
	if err != nil {
		return err
	}
	why, err := a.options.Networks.Needed(len(list))
	if why != "" {
		a.log.Info("the programs stay", "folder", a.options.Programs, "since", why)
	}
	if why != "" || err != nil {
		return err
	}
	_, err = install.RemovePrograms(a.options.Programs)
	return err
}
