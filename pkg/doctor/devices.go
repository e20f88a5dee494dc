package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/containernetworking/plugins/pkg/netlinksafe"
	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/hook"
	"github.com/xdp-port/xdp-port/pkg/inspect"
)

// devices looks at the network devices: those that have rules, and other
// programs on any.
func devices(list []inspect.Attachment) []Finding {
	links, err := netlinksafe.LinkList()
	if err != nil {
		return []Finding{{"devices", Unknown, err.Error(), ""}}
	}
	return []Finding{foreignXDP(links, list), foreignTC(list), modes(list), offloads(list)}
}

func programsOf(list []inspect.Attachment) map[uint32]bool {
	ours := map[uint32]bool{}
	for i := range list {
		for _, p := range list[i].Programs {
			ours[p.ID] = true
		}
	}
	return ours
}

// foreignXDP looks for XDP programs of others. On a veth they stand in the way.
func foreignXDP(links []netlink.Link, list []inspect.Attachment) Finding {
	f := Finding{Check: "other XDP programs", Status: Fine}
	if slices.ContainsFunc(list, func(a inspect.Attachment) bool { return a.Undetermined }) {
		f.Status, f.Detail = Unknown, "which programs are xdp-port's cannot be read: see attachments"
		return f
	}
	ours := programsOf(list)
	var found []string
	for _, link := range links {
		xdp := link.Attrs().Xdp
		if xdp == nil || !xdp.Attached || ours[xdp.ProgId] {
			continue
		}
		found = append(found, fmt.Sprintf("%s has %q (id %d)", link.Attrs().Name, hook.ProgramName(ebpf.ProgramID(xdp.ProgId)), xdp.ProgId))
		if link.Type() == "veth" {
			f.Status = Warning
			f.Fix = `on these veths mode "auto" does without XDP, and "generic" and "native" are refused: detach them, or leave it so`
		}
	}
	f.Detail = "none"
	if len(found) > 0 {
		f.Detail = some(found)
	}
	return f
}

// modes tells what native mode costs.
func modes(list []inspect.Attachment) Finding {
	counts := map[string]int{}
	for _, a := range list {
		if a.Mode != "" {
			counts[a.Mode]++
		}
	}
	var words []string
	for _, mode := range []datapath.Mode{datapath.Generic, datapath.Native, datapath.Offload, datapath.TC} {
		if count := counts[mode.String()]; count > 0 {
			words = append(words, fmt.Sprintf("%d %s", count, mode))
		}
	}
	f := Finding{"modes", Fine, strings.Join(words, ", "), ""}
	if len(words) == 0 {
		f.Detail = "nothing is attached"
	}
	if counts[datapath.Native.String()] > 0 {
		f.Status = Warning
		f.Fix = `on a veth native mode takes the container's segmentation offload away, and is the slow one: set "mode" to "auto"`
	}
	return f
}

// offloads looks whether the host sides leave checksums and segmentation to
// whoever is further on, which is what makes a veth fast.
func offloads(list []inspect.Attachment) Finding {
	const name = "offloads"
	handle, err := ethtool.NewEthtool()
	if err != nil {
		return Finding{name, Unknown, err.Error(), ""}
	}
	defer handle.Close()
	looked := 0
	var without []string
	for _, a := range list {
		features, err := handle.Features(a.Device)
		if a.Gone || err != nil {
			continue
		}
		looked++
		for _, feature := range []string{"tx-checksum-ip-generic", "tx-tcp-segmentation"} {
			if !features[feature] {
				without = append(without, fmt.Sprintf("%s has no %s", a.Device, feature))
			}
		}
	}
	if len(without) > 0 {
		return Finding{name, Warning, some(without), "right, but slow: ethtool -K DEVICE tx on tso on"}
	}
	return Finding{name, Fine, fmt.Sprintf("checksums and segmentation on all of %d host sides", looked), ""}
}

// some lists things, but not so many that nobody reads them.
func some(things []string) string {
	const enough = 4
	if len(things) > enough {
		return fmt.Sprintf("%s, and %d more", strings.Join(things[:enough], ", "), len(things)-enough)
	}
	return strings.Join(things, ", ")
}
