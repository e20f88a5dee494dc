package report

import (
	"fmt"
	"html"
	"math"
	"strings"
	"unicode/utf8"
)

// Measures of a picture, in pixels. No font is known to be there, so text gets the room that a wide one
// takes.
const (
	chartColumns = 2
	chartWidth   = 500
	margin       = 24
	titleHeight  = 34
	legendHeight = 30
	barHeight    = 12
	barGap       = 2
	groupGap     = 9
	textSize     = 12
	textWidth    = 7.4            // of a character
	wordsWidth   = 12 * textWidth // of a measured value with its unit
	valuesWidth  = wordsWidth + 5*textWidth
)

// The picture brings its own background, so that it can be read on any page: it follows the colour scheme of the
// browser, and a page may have another.
const style = `
  svg { color-scheme: light dark }
  text { font-family: sans-serif; font-size: 12px; fill: #1f2328 }
  .title { font-size: 13px; font-weight: bold }
  .value { fill: #59636e }
  .background { fill: #ffffff }
  .own0 { fill: #1f6feb } .own1 { fill: #79b1f5 }
  .other0 { fill: #818b98 } .other1 { fill: #bcc4cd }
  .quartiles { stroke: #1f2328; stroke-width: 1 }
  .reference { stroke: #59636e; stroke-width: 1; stroke-dasharray: 3 3 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .value { fill: #b1bac4 }
    .background { fill: #0d1117 }
    .own0 { fill: #4493f8 } .own1 { fill: #1f5fb5 }
    .other0 { fill: #9198a1 } .other1 { fill: #59636e }
    .quartiles { stroke: #f0f6fc }
    .reference { stroke: #b1bac4 }
  }
`

// drawing collects the elements of an SVG picture.
type drawing struct{ strings.Builder }

// draw draws charts side by side, each row as high as its highest one.
func draw(charts []chart) []byte {
	var d drawing
	y := margin + legendHeight
	for first := 0; first < len(charts); first += chartColumns {
		height := 0
		for i, c := range charts[first:min(first+chartColumns, len(charts))] {
			d.chart(c, margin+i*(chartWidth+margin), y)
			height = max(height, c.height())
		}
		y += height + margin
	}
	d.legend()
	width := margin + chartColumns*(chartWidth+margin)
	return fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]d %[2]d" width="%[1]d" height="%[2]d" role="img">
<title>What packets and containers cost</title>
<style>%[3]s</style>
<rect class="background" width="%[1]d" height="%[2]d" rx="6"/>
%[4]s</svg>
`, width, y, style, d.String())
}

func (d *drawing) legend() {
	x := margin
	for _, own := range []bool{true, false} {
		whose := "xdp-port"
		if !own {
			whose = "others"
		}
		for i, name := range series {
			label := whose + ", " + name
			d.rect(classOf(own, i), float64(x), margin, barHeight, barHeight)
			d.text("", "start", float64(x+barHeight+6), margin+barHeight-1, label)
			x += barHeight + 6 + int(textWidthOf(label)) + margin
		}
	}
	d.text("value", "start", float64(x), margin+barHeight-1, "Medians; lines show quartiles.")
}

// chart draws a chart with its upper left corner at a point: labels, bars, and the values on the right.
func (d *drawing) chart(c chart, x, y int) {
	scale := c.scale()
	left, right := float64(x)+c.labelWidth(), float64(x+chartWidth)
	room := right - left - valuesWidth
	at := func(ratio float64) float64 { return left + room*max(0, ratio)/scale }
	d.text("title", "start", float64(x), float64(y+textSize), c.title)
	top := y + titleHeight
	bottom := y + c.height() - groupGap
	for _, g := range c.groups {
		middle := float64(top) + float64(g.height()-groupGap)/2
		d.text("", "end", left-8, middle+textSize/2-2, g.label)
		for _, b := range g.bars {
			d.bar(b, g.own, at, float64(top))
			d.text("", "end", right-wordsWidth, float64(top+barHeight-1), fmt.Sprintf("%.2f", b.ratio.Median))
			d.text("value", "end", right, float64(top+barHeight-1), b.words)
			top += barHeight + barGap
		}
		top += groupGap
	}
	fmt.Fprintf(d, `<line class="reference" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>`+"\n", at(1), y+titleHeight-6, at(1), bottom)
}

func (d *drawing) bar(b bar, own bool, at func(float64) float64, y float64) {
	d.rect(classOf(own, b.series), at(0), y, at(b.ratio.Median)-at(0), barHeight)
	fmt.Fprintf(d, `<line class="quartiles" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`+"\n",
		at(b.ratio.Low), y+barHeight/2.0, at(b.ratio.High), y+barHeight/2.0)
}

func (d *drawing) rect(class string, x, y, width, height float64) {
	fmt.Fprintf(d, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`+"\n", class, x, y, width, height)
}

func (d *drawing) text(class, anchor string, x, y float64, text string) {
	fmt.Fprintf(d, `<text class="%s" text-anchor="%s" x="%.1f" y="%.1f">%s</text>`+"\n", class, anchor, x, y, html.EscapeString(text))
}

func classOf(own bool, series int) string {
	if own {
		return fmt.Sprint("own", series)
	}
	return fmt.Sprint("other", series)
}

func textWidthOf(text string) float64 { return textWidth * float64(utf8.RuneCountInString(text)) }

// scale is the ratio at the right end of the bars.
func (c *chart) scale() float64 {
	scale := 1.0
	for _, g := range c.groups {
		for _, b := range g.bars {
			scale = math.Max(scale, math.Max(b.ratio.Median, b.ratio.High))
		}
	}
	return scale
}

func (c *chart) labelWidth() (width float64) {
	for _, g := range c.groups {
		width = max(width, textWidthOf(g.label)+8)
	}
	return width
}

func (c *chart) height() int {
	height := titleHeight
	for _, g := range c.groups {
		height += g.height()
	}
	return height
}

func (g *group) height() int { return len(g.bars)*(barHeight+barGap) + groupGap }
