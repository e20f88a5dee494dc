package main

import (
	"fmt"
	"image/color"
	"os"
	"path/filepath"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/xdp-port/xdp-port/test/bench/internal/result"
)

// panels are the parts of the picture, row by row.
var panels = [][]column{
	{
		{"overhead for a small UDP packet (ns)", "datagrams-single", overhead},
		{"overhead for the first packet of a flow (ns)", "new-flows", overhead},
	},
	{
		{"one TCP stream from the container (Gbit/s)", "bulk-out", value},
		{"ADD of a container (ms)", "add", value},
	},
}

const (
	panelWidth  = 13 * vg.Centimeter
	panelHeight = 7.5 * vg.Centimeter
	barWidth    = 10
)

var (
	ours   = color.RGBA{R: 0x2b, G: 0x7a, B: 0xb8, A: 0xff}
	others = color.RGBA{R: 0xa8, G: 0xa8, B: 0xa8, A: 0xff}
)

// drawAll draws the picture into an SVG file.
func drawAll(found *result.Result, path string) error {
	plots := make([][]*plot.Plot, len(panels))
	for i, line := range panels {
		for _, panel := range line {
			p, err := bars(found, panel)
			if err != nil {
				return fmt.Errorf("%s: %w", panel.table, err)
			}
			plots[i] = append(plots[i], p)
		}
	}
	size := vgsvg.New(vg.Length(len(panels[0]))*panelWidth, vg.Length(len(panels))*panelHeight)
	tiles := draw.Tiles{Rows: len(panels), Cols: len(panels[0]), PadX: vg.Centimeter, PadY: vg.Centimeter / 2, PadRight: vg.Centimeter / 2}
	for i, line := range plot.Align(plots, tiles, draw.New(size)) {
		for j, canvas := range line {
			plots[i][j].Draw(canvas)
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = size.WriteTo(file)
	return err
}

// bars draws a table with quartiles. The first contender is on top.
func bars(found *result.Result, c column) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = c.title
	p.X.Min = 0
	p.Add(plotter.NewGrid())
	var names []string
	table := found.Table(c.table)
	if table == nil {
		return nil, fmt.Errorf("the run has no such table")
	}
	for i := len(table.Rows) - 1; i >= 0; i-- {
		row := &table.Rows[i]
		if c.pick(row) == nil || isDetail(row.Name) {
			continue
		}
		if err := addBar(p, float64(len(names)), *c.pick(row), colorOf(row.Name)); err != nil {
			return nil, err
		}
		names = append(names, row.Name)
	}
	p.NominalY(names...)
	p.Y.Padding = barWidth
	return p, nil
}

func addBar(p *plot.Plot, at float64, s result.Spread, fill color.Color) error {
	bar, err := plotter.NewBarChart(plotter.Values{s.Median}, barWidth)
	if err != nil {
		return err
	}
	bar.Horizontal, bar.XMin, bar.Color, bar.LineStyle.Width = true, at, fill, 0
	quartiles, err := plotter.NewXErrorBars(struct {
		plotter.XYs
		plotter.XErrors
	}{
		plotter.XYs{{X: s.Median, Y: at}},
		plotter.XErrors{{Low: s.Low - s.Median, High: s.High - s.Median}},
	})
	if err != nil {
		return err
	}
	p.Add(bar, quartiles)
	return nil
}

// isDetail reports whether a row is only for the tables.
func isDetail(contender string) bool {
	return strings.HasPrefix(contender, "(") || strings.HasSuffix(contender, ", no match")
}

func colorOf(contender string) color.Color {
	if strings.HasPrefix(contender, "xdp-port") {
		return ours
	}
	return others
}
