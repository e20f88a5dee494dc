package lifecycle

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/containernetworking/plugins/pkg/ns"

	"github.com/xdp-port/xdp-port/test/node"
)

// pin pins a foreign map.
func pin(t *testing.T, path string) {
	t.Helper()
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Hash, KeySize: 8, ValueSize: 8, MaxEntries: 4})
	must(t, err)
	defer m.Close()
	must(t, m.Pin(path))
	t.Cleanup(func() { _ = os.Remove(path) })
}

// TestForeignObjects puts foreign objects into the state folder. They must stay, and
// must not disturb any operation.
func TestForeignObjects(t *testing.T) {
	for name, put := range map[string]func(*testing.T, *pod) (path string){
		"pin among rulesets": func(t *testing.T, _ *pod) string {
			path := node.StateFolder + "/rulesets/pin"
			pin(t, path)
			return path
		},
		"link in tmp": func(t *testing.T, _ *pod) string {
			return link(t, node.StateFolder+"/tmp/link")
		},
		"link among rulesets": func(t *testing.T, _ *pod) string {
			return link(t, node.StateFolder+"/rulesets/link")
		},
		"link among pending attachments": func(t *testing.T, p *pod) string {
			return link(t, filepath.Join(folder(t, p), "../../../../claims/link"))
		},
		"link among attachments": func(t *testing.T, p *pod) string {
			return link(t, filepath.Join(folder(t, p), "../link"))
		},
		"pin among attachments": func(t *testing.T, p *pod) string {
			path := filepath.Join(folder(t, p), "../../pin")
			pin(t, path)
			return path
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p, other := w.pod(t, "host0", 0), w.pod(t, "host1", 0)
			m := manners(t)[0]
			p.add(t, 1, m)
			path := put(t, p)
			other.add(t, 2, m)
			p.add(t, 2, m)
			if code, message := p.check(t); code != 0 {
				t.Errorf("CHECK: %s", message)
			}
			w.mustList(t, p, other)
			w.mustTool(t, "gc")
			w.apply(t, 3, m)
			p.mustBeRight(t)
			other.mustBeRight(t)
			w.collect(t, other)
			p.version = 0
			p.mustBeRight(t)
			other.del(t)
			other.mustBeRight(t)
			w.mustList(t)
			if _, err := os.Lstat(path); err != nil && filepath.Dir(path) == node.StateFolder+"/rulesets" {
				t.Errorf("it is gone: %v", err)
			}
			if _, err := os.Stat(elsewhere + "/pin"); err != nil && len(name) > 4 && name[:4] == "link" {
				t.Errorf("what it leads to is gone: %v", err)
			}
			must(t, os.RemoveAll(node.StateFolder))
		})
	}
}

// elsewhere is a foreign folder.
const elsewhere = "/sys/fs/bpf/foreign"

// link makes a symbolic link to a folder with a foreign pin.
func link(t *testing.T, path string) string {
	t.Helper()
	must(t, os.MkdirAll(elsewhere, 0o700))
	t.Cleanup(func() { _ = os.RemoveAll(elsewhere) })
	pin(t, elsewhere+"/pin")
	must(t, os.MkdirAll(filepath.Dir(path), 0o700))
	must(t, os.Symlink(elsewhere, path))
	return path
}

// TestRecordOfAnotherKind replaces the record of an attachment by another kind of
// object. list must report that, and DEL must remove everything that it finds.
func TestRecordOfAnotherKind(t *testing.T) {
	for name, put := range map[string]func(*testing.T, string){
		"hash":   pin,
		"folder": func(t *testing.T, path string) { must(t, os.Mkdir(path, 0o700)) },
		"text": func(t *testing.T, path string) {
			m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
			must(t, err)
			must(t, errors.Join(m.Pin(path), m.Close()))
		},
		"program": func(t *testing.T, path string) {
			program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
				Type: ebpf.XDP, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()},
			})
			must(t, err)
			must(t, errors.Join(program.Pin(path), program.Close()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachManner(t, func(t *testing.T, m manner) {
				w := newWorld(t)
				p := w.pod(t, "host0", 0)
				p.add(t, 1, m)
				path := filepath.Join(folder(t, p), "record")
				must(t, os.Remove(path))
				put(t, path)
				if l := p.listedAs(t); l == nil || l.Healthy {
					t.Errorf("list says %+v", l)
				}
				w.mustTool(t, "gc")
				p.mustBeRight(t)
				p.del(t)
				mustBeClean(t)
				if m.hook == "clsact" { // only the record names the filters: the next ADD removes them
					p.add(t, 2, m)
					p.mustBeRight(t)
					p.del(t)
				}
				p.mustBeRight(t)
				mustBeClean(t)
			})
		})
	}
}

// TestStrayFolder puts folders into an attachment. DEL must remove empty ones and
// succeed if others stay.
func TestStrayFolder(t *testing.T) {
	w := newWorld(t)
	p := w.pod(t, "host0", 0)
	p.add(t, 1, manners(t)[0])
	must(t, os.MkdirAll(filepath.Join(folder(t, p), "stray/stray"), 0o700))
	p.del(t)
	p.mustBeRight(t)
	mustBeClean(t)
	p.add(t, 1, manners(t)[0])
	stray := filepath.Join(folder(t, p), "stray")
	must(t, os.MkdirAll(stray, 0o700))
	pin(t, stray+"/pin")
	p.del(t)
	p.mustBeRight(t)
	w.mustList(t)
	must(t, os.RemoveAll(node.StateFolder))
}

// TestMissingPins removes the pins of a ruleset. list must report what CHECK reports.
func TestMissingPins(t *testing.T) {
	w := newWorld(t)
	p := w.pod(t, "host0", 0)
	for i := 0; ; i++ {
		p.add(t, 1, manners(t)[0])
		ruleset := filepath.Join(folder(t, p), "../../../..")
		entries, err := os.ReadDir(ruleset)
		must(t, err)
		var pins []string
		for _, entry := range entries {
			if !entry.IsDir() {
				pins = append(pins, entry.Name())
			}
		}
		if i == len(pins) {
			break
		}
		must(t, os.Remove(filepath.Join(ruleset, pins[i])))
		code, message := p.check(t)
		if l := p.listedAs(t); l == nil || l.Healthy != (code == 0) {
			t.Errorf("without %s CHECK answers %d: %s, and list says %+v", pins[i], code, message, l)
		}
		p.mustBeRight(t)
		p.del(t)
	}
	p.del(t)
	mustBeClean(t)
}

// TestNobodyReads runs ADD with a closed pipe for the result. Nothing may be left behind.
func TestNobodyReads(t *testing.T) {
	eachManner(t, func(t *testing.T, m manner) {
		w := newWorld(t)
		p := w.pod(t, "host0", 0)
		bin, err := node.BinDir()
		must(t, err)
		read, write, err := os.Pipe()
		must(t, err)
		must(t, read.Close())
		command := exec.Command(filepath.Join(bin, "xdp-port"))
		command.Env = []string{
			"CNI_COMMAND=ADD", "CNI_CONTAINERID=" + p.id, "CNI_NETNS=" + p.c.NS.Path(), "CNI_IFNAME=eth0", "CNI_PATH=" + bin,
		}
		command.Stdin, command.Stdout = bytes.NewReader(jsonOf(t, entry("lab", 1, m))), write
		must(t, w.NS.Do(func(ns.NetNS) error { return command.Start() }))
		must(t, write.Close())
		err = command.Wait()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(interface{ Signaled() bool }).Signaled() {
			t.Errorf("ADD ends with %v", err)
		}
		p.mustBeRight(t)
		mustBeClean(t)
	})
}

// TestForeignCounters puts a foreign map in the place of `counters`. Running containers
// keep their rules, ADD names the pin instead of writing into that map, other rulesets
// work as before, and DEL removes everything.
func TestForeignCounters(t *testing.T) {
	for name, spec := range map[string]*ebpf.MapSpec{
		"array":     {Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1},
		"per CPU":   {Type: ebpf.PerCPUHash, KeySize: 4, ValueSize: 8, MaxEntries: 4},
		"long keys": {Type: ebpf.PerCPUHash, KeySize: 8, ValueSize: 160, MaxEntries: 4},
	} {
		t.Run(name, func(t *testing.T) {
			eachManner(t, func(t *testing.T, m manner) {
				w := newWorld(t)
				p, other, third := w.pod(t, "host0", 0), w.pod(t, "host1", 0), w.pod(t, "host2", 0)
				p.add(t, 1, m)
				other.add(t, 2, m)
				foreign, err := ebpf.NewMap(spec)
				must(t, err)
				path := filepath.Join(ruleset(t, p), "counters")
				must(t, os.Remove(path))
				must(t, errors.Join(foreign.Pin(path), foreign.Close()))
				w.mustSurviveForeignCounters(t, p, m)
				for _, pod := range []*pod{p, third} {
					code, message := pod.operation(t, "ADD", entry("lab", 1, m))
					if code != 105 || !strings.Contains(message, path) || !strings.Contains(message, "foreign map") {
						t.Errorf("ADD of %s: code %d: %s", pod.id, code, message)
					}
					pod.mustBeRight(t)
				}
				third.add(t, 2, m)
				third.mustBeRight(t)
				w.tool(t, "apply", conflist(t, 3, m)) // which may fail
				for _, pod := range w.attached() {
					if saw := pod.look(t); saw != sightOf(pod.version) && saw != sightOf(3) {
						t.Errorf("the packets of %s arrive at %+v", pod.id, saw)
					}
				}
				_ = os.Remove(path)
				for _, pod := range w.pods {
					pod.add(t, pod.version, m)
					pod.mustBeRight(t)
				}
				w.mustList(t, p, other, third)
				for _, pod := range w.pods {
					pod.del(t)
					pod.mustBeRight(t)
				}
				mustBeClean(t)
			})
		})
	}
}

// TestCountersOfAnotherRuleset puts the counters of another ruleset there. CHECK and
// list report it, and ADD re-creates the ruleset.
func TestCountersOfAnotherRuleset(t *testing.T) {
	eachManner(t, func(t *testing.T, m manner) {
		w := newWorld(t)
		p, other, third := w.pod(t, "host0", 0), w.pod(t, "host1", 0), w.pod(t, "host2", 0)
		p.add(t, 1, m)
		other.add(t, 2, m)
		counters, err := countersOf(t, other).Clone()
		must(t, err)
		path := filepath.Join(ruleset(t, p), "counters")
		must(t, os.Remove(path))
		must(t, errors.Join(counters.Pin(path), counters.Close()))
		if l := p.listedAs(t); l == nil || l.Healthy || l.Gone {
			t.Errorf("list says %+v", l)
		}
		if code, message := p.check(t); code != 100 || !strings.Contains(message, path) {
			t.Errorf("CHECK: code %d: %s", code, message)
		}
		for _, pod := range []*pod{third, p} {
			pod.add(t, 1, m)
			p.mustBeRight(t)
			third.mustBeRight(t)
			other.mustBeRight(t)
		}
		w.mustList(t, p, other, third)
		for _, pod := range w.pods {
			pod.del(t)
			pod.mustBeRight(t)
		}
		mustBeClean(t)
	})
}

// mustSurviveForeignCounters runs all commands, none of which takes the rules away.
func (w *world) mustSurviveForeignCounters(t *testing.T, p *pod, m manner) {
	t.Helper()
	for _, args := range [][]string{
		{"list"},
		{"stats", "--interval", "0"},
		{"show", p.id},
		{"gc"},
		{"doctor"},
		{"apply", conflist(t, 1, m)},
	} {
		stdout, stderr, code := w.tool(t, args...)
		if bytes.Contains(stdout, []byte("panic")) || bytes.Contains(stderr, []byte("panic")) || args[0] == "stats" && code != 1 {
			t.Errorf("%v exits with %d: %s%s", args, code, stdout, stderr)
		}
		p.mustBeRight(t)
	}
	if l := p.listedAs(t); l == nil || l.Healthy || l.Gone {
		t.Errorf("list says %+v", l)
	}
	if code, message := p.check(t); code == 0 || code == 999 || strings.Contains(message, "bug") {
		t.Errorf("CHECK: code %d: %s", code, message)
	}
}

// TestForeignIntent puts foreign objects where a change keeps its intent records. They
// must not keep rules from changing.
func TestForeignIntent(t *testing.T) {
	for _, name := range []string{"exchange", "kept"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			m := manners(t)[0]
			p, other := w.pod(t, "host0", 0), w.pod(t, "host1", 0)
			p.add(t, 1, m)
			other.add(t, 2, m)
			pending := filepath.Join(folder(t, p), "../../../../claims/foreign")
			must(t, os.MkdirAll(pending, 0o700))
			pin(t, filepath.Join(pending, name))
			other.add(t, 1, m)
			other.mustBeRight(t)
			p.del(t)
			other.del(t)
			must(t, os.RemoveAll(node.StateFolder))
		})
	}
}
