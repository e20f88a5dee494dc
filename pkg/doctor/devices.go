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

// devices checks the network devices: those with rules, and foreign programs on all.
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

// foreignXDP looks for foreign XDP programs. On a veth they occupy the hook.
func foreignXDP(links []netlink.Link, list []inspect.Attachment) Finding {
	f := Finding{Check: "foreign XDP programs", Status: Fine}
	if slices.ContainsFunc(list, func(a inspect.Attachment) bool { return a.Undetermined }) {
		f.Status, f.Detail = Unknown, "cannot be distinguished from xdp-port's, which cannot be read: see attachments"
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
			f.Fix = `on these veths mode "auto" does without XDP, and "generic" and "native" are refused: detach the programs, or accept this`
		}
	}
	f.Detail = "none"
	if len(found) > 0 {
		f.Detail = some(found)
	}
	return f
}

// modes counts the attachments in each mode, and warns of native mode.
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
		f.Fix = `native mode disables segmentation offload on a veth and is the slowest mode: set "mode" to "auto"`
	}
	return f
}

// offloads checks whether host sides leave checksums and segmentation to the next device. That
// makes a veth fast.
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
		return Finding{name, Warning, some(without), "correct, but slow: ethtool -K DEVICE tx on tso on"}
	}
	if looked == 0 {
		return Finding{name, Fine, "nothing is attached", ""}
	}
	return Finding{name, Fine, fmt.Sprintf("checksums and segmentation are offloaded on all %d host sides", looked), ""}
}
