package differential

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/rules"
	"github.com/xdp-port/xdp-port/test/internal/model"
	"github.com/xdp-port/xdp-port/test/pace"
	"github.com/xdp-port/xdp-port/test/packet"
)

// TestRepeatedPacketsDoWhatTheModelDoes repeats a few packets in random order. The
// decision cache holds most of them, while flows begin, end, and are taken over.
func TestRepeatedPacketsDoWhatTheModelDoes(t *testing.T) {
	const scenarios, repetitions = 60, 400
	eachMode(t, func(t *testing.T, mode datapath.Mode) {
		for seed := range pace.Share(scenarios) {
			if err := compareRepeated(uint64(seed), mode, repetitions); err != nil {
				t.Fatalf("scenario %d: %v", seed, err)
			}
		}
	})
}

type sent struct {
	dir   rules.Direction
	frame []byte
}

func compareRepeated(seed uint64, mode datapath.Mode, repetitions int) error {
	scenario, reference, programs, err := stage(seed, mode)
	if err != nil {
		return err
	}
	defer programs.Close()
	pool := fastPathPackets(scenario, programs)
	if len(pool) == 0 {
		return nil
	}
	random := rand.New(rand.NewPCG(seed, 1))
	for i := range repetitions {
		// Some packets are sent twice in a row, as most packets are.
		p := pool[random.IntN(len(pool))]
		for range 1 + random.IntN(3) {
			if err := comparePacket(programs, reference, p.dir, p.frame); err != nil {
				return fmt.Errorf("repetition %d: %w\n%s packet: %x\nrules: %+v", i, err, p.dir, p.frame, scenario.Rules)
			}
		}
	}
	return nil
}

// fastPathPackets returns packets of a scenario that have the form of fast-path packets.
func fastPathPackets(scenario *model.Scenario, programs *datapath.Programs) (pool []sent) {
	const enough, tries = 24, 2000
	for i := 0; i < tries && len(pool) < enough; i++ {
		dir, frame := scenario.Next()
		if runs(programs, dir) && fitsSKB(frame) && isFastPath(frame) {
			pool = append(pool, sent{dir, frame})
		}
	}
	return pool
}

// isFastPath reports whether a frame has TCP or UDP over IPv4 without options, or IPv6
// without extension headers, behind one VLAN tag at most.
func isFastPath(frame []byte) bool {
	network := 14
	if len(frame) < 18 {
		return false
	}
	if etherType := binary.BigEndian.Uint16(frame[12:]); etherType == packet.EtherTypeVLAN || etherType == packet.EtherTypeProvider {
		network += 4
	}
	protocol, size := network+9, 20
	switch etherType := binary.BigEndian.Uint16(frame[network-2:]); {
	case etherType == packet.EtherTypeIPv6:
		protocol, size = network+6, 40
	case etherType != packet.EtherTypeIPv4 || len(frame) <= network || frame[network] != 0x45:
		return false
	}
	return len(frame) >= network+size+8 && (frame[protocol] == packet.ProtocolTCP || frame[protocol] == packet.ProtocolUDP)
}
