package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/config"
	"github.com/xdp-port/xdp-port/pkg/inspect"
	"github.com/xdp-port/xdp-port/pkg/install"
)

// places are where things are on a node.
type places struct {
	bin      string
	networks install.Networks
}

// addTo adds the flags that install, uninstall and agent have in common.
func (p *places) addTo(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVar(&p.bin, "bin-dir", "/opt/cni/bin", "the folder of the CNI plugins")
	flags.StringVar(&p.networks.Folder, "net-dir", "/etc/cni/net.d", "the folder of the networks' configurations")
	flags.StringVar(&p.networks.File, "conflist", "", "the file in --net-dir to add xdp-port to (default: the first by name, as runtimes do)")
	flags.StringVar((*string)(&p.networks.Runtime), "runtime", string(install.AutoRuntime),
		"whose choice of a file counts: containerd or cri-o, which skips files that it cannot use (auto: the one whose socket is there, else containerd)")
	_ = command.RegisterFlagCompletionFunc("runtime", cobra.FixedCompletions(runtimeNames(), cobra.ShellCompDirectiveNoFileComp))
}

// check returns an error for flags that mean nothing.
func (p *places) check() error {
	switch "" {
	case p.bin:
		return errors.New("--bin-dir is empty")
	case p.networks.Folder:
		return errors.New("--net-dir is empty")
	}
	return p.networks.Check()
}

// checkFolder returns an error that names the flag if there is no folder at its
// path.
func checkFolder(flag, path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a folder", path)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}
	return nil
}

func runtimeNames() (names []string) {
	for _, runtime := range install.Runtimes {
		names = append(names, string(runtime))
	}
	return names
}

// configFile is what the rules are in: the entry's text, and where that is.
type configFile struct {
	path string
	text []byte
}

// readEntry reads a file with nothing but the entry.
func readEntry(ctx context.Context, path string) (configFile, error) {
	text, err := readFile(ctx, path)
	if err != nil {
		return configFile{}, fmt.Errorf("--config: %w", err)
	}
	entry := configFile{path, text}
	return entry, entry.check()
}

// check says what is wrong with the entry by itself.
func (f configFile) check() error {
	_, err := config.ParseEntry(f.text)
	return f.locate(err)
}

// warnings describe the keys of an entry that have no effect.
func (f configFile) warnings() []string {
	entry, err := config.ParseEntry(f.text)
	if err != nil || len(entry.Overwritten) == 0 {
		return nil
	}
	c := conflist{path: f.path}
	return c.lines("warning", &config.Error{Mistakes: entry.Overwritten})
}

// locate says where in the file each mistake is.
func (f configFile) locate(err error) error {
	c := conflist{path: f.path}
	return c.locateAll(err)
}

// checkConflist has a whole conflist read as ADD and the runtime would.
func checkConflist(path string, network config.Inlined) error {
	c := &conflist{path: path, text: network.Text, inlined: network}
	return c.locateAll(c.parse())
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
		Short: "Put xdp-port onto this node: the programs, and its entry into the conflist",
		Long: `Copy xdp-port and xdp-portctl into the folder of the CNI plugins, and add xdp-port
to the network that runtimes take for pods: behind the last plugin, or in the
place of the entry that is there. Nothing else in the file changes; what it was
before is kept beside it, for uninstall. Run again, it changes only what differs,
but not how it is spelled. Of a network whose plugins are all drop-ins
(NAME/*.conf beside the conflist, libcni 1.3) the entry becomes one, too.

FILE has xdp-port's entry of the conflist as a JSON object: {"rules": [...]}, and
mode, tcHook, flows, log, capabilities where wanted. If it has errors nothing is
changed. Running containers are not touched: see apply.`,
		Example: `  xdp-portctl install --config rules.json
  xdp-portctl install --config rules.json --bin-dir /usr/lib/cni --wait`,
		Args:    cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error { return o.check() },
		RunE:    func(command *cobra.Command, _ []string) error { return t.runInstall(command.Context(), o) },
	}
	o.addTo(command)
	flags := command.Flags()
	flags.StringVar(&o.config, "config", "", "the file with xdp-port's entry")
	flags.StringVar(&o.from, "from", "", "the folder with xdp-port and xdp-portctl (default: where this program is)")
	flags.BoolVar(&o.wait, "wait", false, "wait for a network if none is configured")
	flags.BoolVar(&o.bestEffort, "best-effort", false, "install only the programs if the conflist cannot be changed: an agent adds the entry later")
	_ = command.MarkFlagRequired("config")
	command.MarkFlagsMutuallyExclusive("wait", "best-effort")
	return command
}

// check returns an error for flags that mean nothing.
func (o *installOptions) check() error {
	if o.config == "" {
		return errors.New("--config is empty")
	}
	return o.places.check()
}

// runInstall looks for mistakes before it touches anything. With bestEffort only
// the programs count: an init container that fails would keep an agent from
// starting that reports what is wrong, and goes on as soon as it is fixed. But
// what this process may not do an agent may not either.
func (t *tool) runInstall(ctx context.Context, o installOptions) error {
	entry, err := readEntry(ctx, o.config)
	if err != nil && (!o.bestEffort || ctx.Err() != nil) {
		return err
	}
	for _, warning := range entry.warnings() {
		fmt.Fprintln(t.err, warning)
	}
	if failure := t.installPrograms(o.from, o.bin); failure != nil {
		return failure
	}
	if err == nil {
		err = t.installEntry(ctx, o, entry)
	}
	if err != nil && o.bestEffort && !isRefusal(err) {
		fmt.Fprintf(t.err, "xdp-port is not added to a network yet: %v\n", err)
		return nil
	}
	return err
}

// isRefusal tells whether the kernel forbids something, and goes on to.
func isRefusal(err error) bool {
	return errors.Is(err, os.ErrPermission) || errors.Is(err, unix.EROFS)
}

func (t *tool) installEntry(ctx context.Context, o installOptions, entry configFile) error {
	path, changed, err := o.networks.Add(entry.text, checkConflist)
	switch {
	case errors.Is(err, install.ErrNoNetwork) && o.wait:
		fmt.Fprintf(t.err, "%v: waiting for one\n", err)
		path, changed, err = addWhenThere(ctx, o.networks, entry)
	case err != nil:
		err = o.explainMissing(err)
	}
	switch {
	case err != nil:
		return err
	case changed:
		fmt.Fprintf(t.out, "%s: xdp-port is in it now\n", path)
	default:
		fmt.Fprintf(t.out, "%s: unchanged\n", path)
	}
	return nil
}

// explainMissing names the flag by which there is no network.
func (o *installOptions) explainMissing(err error) error {
	const advice = "install a network first, or say --wait"
	if missing := checkFolder("--net-dir", o.networks.Folder); missing != nil {
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
		own, err := ownFolder()
		if err != nil {
			return err
		}
		from = own
	} else if err := checkFolder("--from", from); err != nil {
		return err
	}
	if err := checkFolder("--bin-dir", to); err != nil {
		return err
	}
	changed, err := install.Programs(from, to)
	for _, path := range changed {
		fmt.Fprintf(t.out, "%s: installed\n", path)
	}
	return err
}

// ownFolder is where this program is, and the plugin beside it.
func ownFolder() (string, error) {
	self, err := os.Executable()
	return filepath.Dir(self), err
}

// addWhenThere waits until there is a network that can be read.
func addWhenThere(ctx context.Context, networks install.Networks, entry configFile) (path string, changed bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changes, _ := install.Watch(ctx, networks.Folder) // without inotify it looks now and then
	for {
		select {
		case <-ctx.Done():
			return "", false, ctx.Err()
		case <-changes:
		}
		if path, changed, err = networks.Add(entry.text, checkConflist); err == nil {
			return path, changed, nil
		}
	}
}

func (t *tool) uninstall() *cobra.Command {
	var p places
	command := &cobra.Command{
		Use:   "uninstall",
		Short: "Take xdp-port off this node: put the conflist back, remove the programs",
		Long: `Put each conflist that install has changed back: as it was, to the byte, if nobody
changed it since, and else without xdp-port. Then remove the programs from the
folder of the CNI plugins, unless a container is attached still, or a conflist
names xdp-port still, and a runtime would need them to remove it: one that another
installer renamed counts, too, and what it was before stays beside it.

Running containers keep their rules until they end; xdp-portctl gc then removes
their stale state. To take the rules off them first: apply --detach.`,
		Example: `  xdp-portctl uninstall`,
		Args:    cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error { return p.check() },
		RunE: func(*cobra.Command, []string) error {
			changed, err := p.networks.Remove()
			for _, path := range changed {
				fmt.Fprintf(t.out, "%s: xdp-port is not in it any more\n", path)
			}
			if err != nil {
				return err
			}
			return t.removePrograms(p)
		},
	}
	p.addTo(command)
	_ = command.Flags().MarkHidden("conflist") // all are put back, whichever install was given
	return command
}

func (t *tool) removePrograms(p places) error {
	why, err := needed(p.networks)
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

// needed tells why the programs are needed still; empty if they are not.
func needed(networks install.Networks) (why string, err error) {
	list, err := inspect.Attachments()
	if err != nil {
		return "", err
	}
	if len(list) > 0 {
		return fmt.Sprintf("%d interfaces of containers are attached", len(list)), nil
	}
	mentions, err := networks.Mentions()
	if len(mentions) == 0 {
		return "", err
	}
	why = strings.Join(mentions, ", ") + " still names xdp-port"
	if originals := networks.Originals(); len(originals) > 0 {
		why += "; what it was before stays in " + strings.Join(originals, ", ")
	}
	return why, err
}
