//go:build linux && (amd64 || arm64)

package crash

import "testing"

// rules are a configuration and its effect on traffic.
type rules struct {
	config map[string]any
	sight  sight
}

func config(tcHook, mode string, list []map[string]any) map[string]any {
	return map[string]any{
		"cniVersion": "1.1.0", "name": "lab", "type": "xdp-port", "tcHook": tcHook, "mode": mode, "rules": list,
		"prevResult": map[string]any{"cniVersion": "1.1.0"},
	}
}

func rewrite(direction string, port, to int) map[string]any {
	return map[string]any{"direction": direction, "protocol": "udp", "port": port, "toPort": to}
}

func drop(direction string, port int) map[string]any {
	return map[string]any{"direction": direction, "protocol": "udp", "port": port, "action": "drop"}
}

// first has rules of all kinds in both directions.
func first(tcHook, mode string) rules {
	return rules{
		config(tcHook, mode, []map[string]any{
			rewrite("egress", egressPort, 7998), rewrite("ingress", servedPort, 8080), drop("egress", 25), drop("ingress", 26),
		}),
		sight{
			egress: 7998, reply: egressPort, ingress: 8080, ingressReply: servedPort, sent: "26", received: "25",
		},
	}
}

// second differs from first in every part.
func second(tcHook, mode string) rules {
	return rules{
		config(tcHook, mode, []map[string]any{
			rewrite("egress", egressPort, 7997), rewrite("ingress", servedPort, 8081), drop("egress", 26), drop("ingress", 25),
		}),
		sight{
			egress: 7997, reply: egressPort, ingress: 8081, ingressReply: servedPort, sent: "25", received: "26",
		},
	}
}

// onlyDrops needs fewer programs than the others.
func onlyDrops(tcHook, mode string) rules {
	s := untouched
	s.received = "26"
	return rules{config(tcHook, mode, []map[string]any{drop("ingress", 25)}), s}
}

// TestProbe shows that the probes distinguish the rules.
func TestProbe(t *testing.T) {
	w := newWorld(t, newStage(t))
	for _, r := range []rules{
		{config("tcx", "auto", []map[string]any{}), untouched},
		first("tcx", "auto"), second("tcx", "auto"), first("clsact", "native"), onlyDrops("clsact", "native"),
		second("tcx", "native"), onlyDrops("tcx", "generic"),
	} {
		w.must(t, "ADD", r.config)
		saw, err := w.look()
		must(t, err)
		if saw != r.sight {
			t.Errorf("rules\n%v\nmake\n%+v\nshould be\n%+v", r.config["rules"], saw, r.sight)
		}
	}
}
