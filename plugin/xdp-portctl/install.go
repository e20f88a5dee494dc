package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/conflist"
	"github.com/xdp-port/xdp-port/pkg/inspect"
	"github.com/xdp-port/xdp-port/pkg/install"
)

// places are the flags that install, uninstall and agent share.
type places struct {
	bin      string
	networks install.Networks
}

func (p *places) addTo(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVar(&p.bin, "bin-dir", "/opt/cni/bin", "folder of the CNI plugins")
	flags.StringVar(&p.networks.Folder, "net-dir", "/etc/cni/net.d", "folder of the network configurations")
	flags.StringVar(&p.networks.File, "conflist", "", "file in --net-dir to add xdp-port to (default: the first by name, as runtimes choose)")
	flags.StringVar((*string)(&p.networks.Runtime), "runtime", string(install.AutoRuntime),
		"runtime whose choice of a file counts: containerd, or cri-o, which skips unusable files (auto: the one whose socket exists, else containerd)")
	_ = command.RegisterFlagCompletionFunc("runtime", cobra.FixedCompletions(runtimeNames(), cobra.ShellCompDirectiveNoFileComp))
}

// check returns an error for values that are empty or unknown.
func (p *places) check() error {
	switch "" {
	case p.bin:
		return errors.New("--bin-dir is empty")
	case p.networks.Folder:
		return errors.New("--net-dir is empty")
	}
	return p.networks.Check()
}

func runtimeNames() (names []string) {
	for _, runtime := range install.Runtimes {
		names = append(names, string(runtime))
	}
	return names
}

// installOptions are the flags of install.
type installOptions struct {
	places
	from, config     string
	wait, bestEffort bool
}

func (t *tool) install() *cobra.Command {
	var o installOptions
	command := &cobra.Command{
		Use:   "install --config FILE",
		Short: "Install the programs, and add xdp-port to the conflist",
		Long: `Copy xdp-port and xdp-portctl into the folder of the CNI plugins, and add xdp-port's
entry to the network that runtimes use for pods: behind the last plugin, or in place
of an existing entry. Nothing else in the file changes. The original file is kept
beside it for uninstall. If install runs again it changes only what differs; another
formatting of the same JSON is no difference. If all plugins of the network are
drop-ins (NAME/*.conf beside the conflist, libcni 1.3), the entry becomes one, too.

FILE contains xdp-port's entry as a JSON object: {"rules": [...]}, optionally with
mode, tcHook, flows, log and capabilities. If it has errors nothing is changed.
Running containers are not changed: see apply.`,
		Example: `  xdp-portctl install --config rules.json
  xdp-portctl install --config rules.json --bin-dir /usr/lib/cni --wait`,
		Args:    cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error { return o.check() },
		RunE:    func(command *cobra.Command, _ []string) error { return t.runInstall(command.Context(), o) },
	}
	o.addTo(command)
	flags := command.Flags()
	flags.StringVar(&o.config, "config", "", "file with xdp-port's entry")
	flags.StringVar(&o.from, "from", "", "folder with xdp-port and xdp-portctl (default: that of this program)")
	flags.BoolVar(&o.wait, "wait", false, "wait for a network if none is configured")
	flags.BoolVar(&o.bestEffort, "best-effort", false, "install only the programs if the conflist cannot be changed: an agent adds the entry later")
	_ = command.MarkFlagRequired("config")
	command.MarkFlagsMutuallyExclusive("wait", "best-effort")
	return command
}

// check returns an error for values that are empty or unknown.
func (o *installOptions) check() error {
	if o.config == "" {
		return errors.New("--config is empty")
	}
	return o.places.check()
}

// runInstall looks for errors before it changes anything.
//
// With bestEffort only the programs count. An init container that fails would keep the agent
// from starting, which reports errors and continues once they are corrected. But if the
// kernel denies this process something, it denies it to the agent as well.
func (t *tool) runInstall(ctx context.Context, o installOptions) error {
	entry, err := readEntry(ctx, o.config)
	if err != nil && (!o.bestEffort || ctx.Err() != nil) {
		return err
	}
	for _, warning := range entry.Warnings() {
		fmt.Fprintln(t.err, warning)
	}
	if failure := t.installPrograms(o.from, o.bin); failure != nil {
		return failure
	}
	if err == nil {
		err = t.installEntry(ctx, o, entry)
	}
	if err != nil && o.bestEffort && !isDenied(err) {
		fmt.Fprintf(t.err, "xdp-port is not added to a network yet: %v\n", err)
		return nil
	}
	return err
}

// readEntry reads and checks the file of --config.
func readEntry(ctx context.Context, path string) (conflist.EntryFile, error) {
	entry, err := conflist.ReadEntry(ctx, path)
	if err != nil {
		return entry, fmt.Errorf("--config: %w", err)
	}
	return entry, entry.Check()
}

// isDenied reports whether the kernel denies something permanently.
func isDenied(err error) bool {
	return errors.Is(err, os.ErrPermission) || errors.Is(err, unix.EROFS)
}

func (t *tool) installEntry(ctx context.Context, o installOptions, entry conflist.EntryFile) error {
	path, changed, err := o.networks.Add(entry.Text, conflist.Check)
	switch {
	case errors.Is(err, install.ErrNoNetwork) && o.wait:
		fmt.Fprintf(t.err, "%v: waiting for one\n", err)
		path, changed, err = o.networks.AddWhenThere(ctx, entry.Text, conflist.Check)
	case err != nil:
		err = o.explainMissing(err)
	}
	switch {
	case err != nil:
		return err
	case changed:
		fmt.Fprintf(t.out, "%s: xdp-port was added\n", path)
	default:
		fmt.Fprintf(t.out, "%s: unchanged\n", path)
	}
	return nil
}

// explainMissing names the flag that chooses the network, if there is none.
func (o *installOptions) explainMissing(err error) error {
	const advice = "install a network first, or use --wait"
	if missing := install.CheckFolder("--net-dir", o.networks.Folder); missing != nil {
		return fmt.Errorf("%w: %s", missing, advice)
	}
	if !errors.Is(err, install.ErrNoNetwork) {
		return err
	}
	flag := "--net-dir"
	if o.networks.File != "" {
		flag = "--conflist"
	}
	return fmt.Errorf("%s: %w: %s", flag, err, advice)
}

func (t *tool) installPrograms(from, to string) error {
	if from == "" {
		own, err := install.OwnFolder()
		if err != nil {
			return err
		}
		from = own
	} else if err := install.CheckFolder("--from", from); err != nil {
		return err
	}
	if err := install.CheckFolder("--bin-dir", to); err != nil {
		return err
	}
	changed, err := install.Programs(from, to)
	for _, path := range changed {
		fmt.Fprintf(t.out, "%s: installed\n", path)
	}
	return err
}

func (t *tool) uninstall() *cobra.Command {
	var p places
	command := &cobra.Command{
		Use:   "uninstall",
		Short: "Restore the conflist, and remove the programs",
		Long: `Restore each conflist that install has changed. If nobody else has changed the file
since, it becomes the original again, byte for byte. Otherwise only xdp-port's entry
is removed from it. Then remove the programs from the folder of the CNI plugins.

The programs stay as long as a container is attached or a conflist names xdp-port,
even if another installer has renamed it: a runtime needs them to remove containers.
The original of a renamed conflist stays beside it.

Running containers keep their rules until they end; xdp-portctl gc then removes
their stale state. To remove their rules first, use apply --detach.`,
		Example: `  xdp-portctl uninstall`,
		Args:    cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error { return p.check() },
		RunE: func(*cobra.Command, []string) error {
			changed, err := p.networks.Remove()
			for _, path := range changed {
				fmt.Fprintf(t.out, "%s: xdp-port was removed\n", path)
			}
			if err != nil {
				return err
			}
			return t.removePrograms(p)
		},
	}
	p.addTo(command)
	_ = command.Flags().MarkHidden("conflist") // all are restored, whichever install was given
	return command
}

func (t *tool) removePrograms(p places) error {
	list, err := inspect.Attachments()
	if err != nil {
		return err
	}
	why, err := p.networks.Needed(len(list))
	if err != nil {
		return err
	}
	if why != "" {
		fmt.Fprintf(t.out, "%s: the programs stay, since %s\n", p.bin, why)
		return nil
	}
	removed, err := install.RemovePrograms(p.bin)
	for _, path := range removed {
		fmt.Fprintf(t.out, "%s: removed\n", path)
	}
	return err
}
