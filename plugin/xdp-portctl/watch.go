package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/xdp-port/xdp-port/pkg/inspect"
	"github.com/xdp-port/xdp-port/pkg/terminal"
)

func (t *tool) watchStats(ctx context.Context, o statsOptions) error {
	if t.wantsJSON() || !t.out.IsTerminal() || terminal.IsDumb() {
		return t.watchPiped(ctx, o)
	}
	v := &statsView{tool: t, statsOptions: o}
	first := v.sample() // before the screen is redrawn, so that an error stays visible
	if first.err != nil {
		return first.err
	}
	v.first, v.stats = first, first.stats
	v.stats.Sort(inspect.Order(o.order))
	view, err := tea.NewProgram(v,
		tea.WithContext(ctx), tea.WithInput(t.in), tea.WithOutput(t.out.Unwrap()), tea.WithoutSignalHandler()).Run()
	if errors.Is(err, tea.ErrProgramKilled) && ctx.Err() != nil {
		return nil // interrupted by the user
	}
	if err != nil {
		return err
	}
	return view.(*statsView).failure
}

// statsView is the live view: it takes a sample each interval and draws it.
type statsView struct {
	*tool
	statsOptions
	sampler       inspect.Sampler
	first         sampled
	stats         inspect.Stats
	width, height int
	taken         int
	failure       error
}

// sampled is the message that a sample was taken.
type sampled struct {
	stats inspect.Stats
	err   error
}

// Init begins with the first sample.
func (v *statsView) Init() tea.Cmd {
	return func() tea.Msg { return v.first }
}

func (v *statsView) sample() sampled {
	stats, _, err := v.sampler.Read(v.container)
	return sampled{stats, err}
}

// Update handles a sample, a key or a new size of the terminal.
func (v *statsView) Update(message tea.Msg) (tea.Model, tea.Cmd) {
	switch m := message.(type) {
	case tea.WindowSizeMsg:
		v.width, v.height = m.Width, m.Height
	case tea.KeyPressMsg:
		return v, v.key(m.String())
	case sampled:
		v.taken++
		if m.err != nil {
			v.failure = m.err
			return v, tea.Quit
		}
		v.stats = m.stats
		v.stats.Sort(inspect.Order(v.order))
		if v.taken == v.count {
			return v, tea.Quit
		}
		return v, tea.Tick(v.interval, func(time.Time) tea.Msg { return v.sample() })
	}
	return v, nil
}

func (v *statsView) key(key string) tea.Cmd {
	switch key {
	case "q", "esc", "ctrl+c":
		return tea.Quit
	case "s":
		at := slices.Index(inspect.Orders, inspect.Order(v.order))
		v.order = string(inspect.Orders[(at+1)%len(inspect.Orders)])
		v.stats.Sort(inspect.Order(v.order))
	}
	return nil
}

// View draws the last sample, cut to the size of the terminal.
func (v *statsView) View() tea.View {
	head := fmt.Sprintf("%s  %d containers, %d packets  sorted by %s  (s: sort, q: quit)\n\n",
		v.stats.Time.Format(time.TimeOnly), len(v.stats.Attachments), v.stats.Total.Packets(), v.order)
	const otherLines = 7 // head, two table heads, the total and empty lines
	rows := max(1, (v.height-otherLines)/2)
	view := tea.NewView(terminal.CutLines(head+v.out.Clean(v.statsText(&v.stats, rows)), v.width))
	view.AltScreen = true
	return view
}

// sleep waits and reports whether the time passed without an interrupt.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// watchPiped prints reports one after another, for an output that cannot be redrawn.
func (t *tool) watchPiped(ctx context.Context, o statsOptions) error {
	var sampler inspect.Sampler
	for n := 1; ; n++ {
		stats, _, err := sampler.Read(o.container)
		if err != nil {
			return err
		}
		stats.Sort(inspect.Order(o.order))
		if t.wantsJSON() {
			err = json.NewEncoder(t.out).Encode(versionedStats{schemaNow, &stats})
		} else {
			_, err = fmt.Fprintf(t.out, "%s\n%s\n\n", stats.Time.Format(time.TimeOnly), t.statsText(&stats, 0))
		}
		if err != nil || n == o.count || !sleep(ctx, o.interval) {
			return err
		}
	}
}
