package report

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/xdp-port/xdp-port/test/bench/internal/result"
)

// run has all tables that reports need. In each, the reference costs 1100 over a base of 1000 and every
// other row 1050, so half the overhead.
func run() *result.Result {
	found := &result.Result{Date: "2026-01-02T03:04:05Z", Claims: []result.Claim{
		{What: "fast enough", Measured: result.Spread{Median: 1}, Bound: 2},
		{What: "too slow", Measured: result.Spread{Median: 3}, Bound: 2},
	}}
	for _, p := range panels {
		for _, name := range p.tables {
			table := result.Table{Name: name, Title: name, Unit: "ns per packet", Base: "base", Rows: []result.Row{row("base", 1000, "")}}
			if p.overhead {
				table.Overhead = "ns"
			}
			for _, l := range p.rows {
				cost := 1050.0
				if l.row == p.reference {
					cost = 1100
				}
				table.Rows = append(table.Rows, row(l.row, cost, table.Overhead))
			}
			found.Tables = append(found.Tables, table)
		}
	}
	return found
}

func row(name string, cost float64, unit string) result.Row {
	samples := result.Series{cost, cost, cost}
	r := result.Row{Name: name, Value: samples.Spread(), Samples: samples}
	if name != "base" {
		ratio := result.Series{cost / 1000}.Spread()
		r.Ratio = &ratio
	}
	if unit != "" && name != "base" {
		overhead := result.Series{cost - 1000}.Spread()
		r.Overhead = &overhead
	}
	return r
}

func TestCharts(t *testing.T) {
	charts, err := chartsOf(run())
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range charts {
		p := panels[i]
		if len(c.groups) != len(p.rows) {
			t.Errorf("%s has %d groups, should have %d", c.title, len(c.groups), len(p.rows))
		}
		want, words := 1050.0/1100, "1050 ns"
		if p.overhead {
			want, words = 0.5, "50.0 ns"
		}
		for j, g := range c.groups {
			if len(g.bars) != len(p.tables) {
				t.Fatalf("%s, %s: %d bars, should be %d", c.title, g.label, len(g.bars), len(p.tables))
			}
			isReference := p.rows[j].row == p.reference
			if got := g.bars[0]; isReference && got.ratio.Median != 1 || !isReference && (got.ratio.Median != want || got.words != words) {
				t.Errorf("%s, %s: the bar is %+v", c.title, g.label, got)
			}
		}
	}
}

// TestMissing leaves out a contender that one family lacks, and refuses a run without a contender or table.
func TestMissing(t *testing.T) {
	found := run()
	ipv6 := found.Table("datagrams-single-ipv6")
	last := len(ipv6.Rows) - 1 // the tutorial's
	ipv6.Rows = ipv6.Rows[:last]
	charts, err := chartsOf(found)
	if err != nil {
		t.Fatal(err)
	}
	if got := charts[0].groups[last-1].bars; len(got) != 1 || got[0].series != 0 {
		t.Errorf("the contender without IPv6 has the bars %+v", got)
	}
	found.Table("add").Rows = []result.Row{row("base", 1, ""), row(portmapNFT, 1, "")}
	if _, err := chartsOf(found); err == nil || !strings.Contains(err.Error(), `no row "xdp-port, clsact"`) {
		t.Errorf("the error for a missing contender is %v", err)
	}
	found.Tables = found.Tables[1:]
	if _, err := chartsOf(found); err == nil || !strings.Contains(err.Error(), `"datagrams-single"`) {
		t.Errorf("the error for a missing table is %v", err)
	}
}

// TestPicture places the texts of each chart: none leaves the picture, and labels and values stay off the bars even
// if a font is as wide as DejaVu Sans.
func TestPicture(t *testing.T) {
	charts, err := chartsOf(run())
	if err != nil {
		t.Fatal(err)
	}
	charts[0].groups[0].label = `a & "b" <c>`
	charts[0].groups[0].bars[0].ratio = result.Spread{Median: 2, Low: -1, High: 40}
	for _, c := range charts {
		if width := c.labelWidth(); width+valuesWidth > chartWidth*2/3 {
			t.Errorf("%s: labels take %.0f and values %.0f of %d: too little is left for bars", c.title, width, valuesWidth, chartWidth)
		}
		if width := 1.1 * textWidthOf(c.title); width > chartWidth+margin {
			t.Errorf("the title %q takes %.0f of %d", c.title, width, chartWidth)
		}
	}
	elements := parse(t, draw(charts))
	picture := elements[0]
	var bars, texts int
	for _, e := range elements[1:] {
		left, right := e.number("x"), e.number("x")
		switch e.name {
		case "rect":
			bars++
			right += e.number("width")
		case "line":
			left, right = min(e.number("x1"), e.number("x2")), max(e.number("x1"), e.number("x2"))
		case "text":
			texts++
			if e.attributes["text-anchor"] == "end" {
				left -= textWidthOf(e.text)
			} else {
				right += textWidthOf(e.text)
			}
		default:
			continue
		}
		if left < 0 || right > picture.number("width") || e.number("y") > picture.number("height") {
			t.Errorf("%s %q from %.0f to %.0f leaves the picture", e.name, e.text, left, right)
		}
	}
	if bars < 50 || texts < 100 {
		t.Errorf("there are only %d bars and %d texts", bars, texts)
	}
}

// element is an element of a picture.
type element struct {
	name, text string
	attributes map[string]string
}

func (e *element) number(attribute string) float64 {
	number, _ := strconv.ParseFloat(e.attributes[attribute], 64)
	return number
}

func parse(t *testing.T, picture []byte) (elements []*element) {
	t.Helper()
	for decoder := xml.NewDecoder(strings.NewReader(string(picture))); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return elements
		}
		if err != nil {
			t.Fatal(err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			e := &element{name: token.Name.Local, attributes: map[string]string{}}
			for _, a := range token.Attr {
				e.attributes[a.Name.Local] = a.Value
			}
			elements = append(elements, e)
		case xml.CharData:
			if text := strings.TrimSpace(string(token)); text != "" {
				elements[len(elements)-1].text = text
			}
		}
	}
}

// TestFonts keeps the picture independent of installed fonts and of the page's colours.
func TestFonts(t *testing.T) {
	picture := string(draw(nil))
	for _, want := range []string{"font-family: sans-serif", "prefers-color-scheme: dark", `class="background"`} {
		if !strings.Contains(picture, want) {
			t.Errorf("the picture lacks %q", want)
		}
	}
}

func TestWrite(t *testing.T) {
	root := t.TempDir()
	readme := filepath.Join(root, "README.md")
	text := fmt.Sprintf("before\n%sold\n%safter\n", beginMark, endMark)
	if err := os.WriteFile(readme, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Write(run(), root); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"before\n" + string(beginMark), string(endMark) + "after\n",
		"| overhead for a small UDP packet, ns | the same in IPv6, ns |", "| xdp-port, auto | 50.0 | 50.0 | 50.0 | 50.0 | 1.05 | 1.05 |",
		"Medians of 2026-01-02", "1 are met and 1 are not",
	} {
		if !strings.Contains(string(got), want) {
			t.Errorf("README lacks %q:\n%s", want, got)
		}
	}
	if strings.Contains(string(got), "old") {
		t.Error("README still has the old summary")
	}
	for _, name := range []string{"bench.svg", "bench.md"} {
		if _, err := os.Stat(filepath.Join(root, "docs", name)); err != nil {
			t.Error(err)
		}
	}
}

func TestNoMarks(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "README.md"), []byte("no marks\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Write(run(), root); err == nil || !strings.Contains(err.Error(), "lacks the lines") {
		t.Errorf("a README without marks: %v", err)
	}
}
