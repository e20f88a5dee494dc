// Package result is the result of a bench run, as in bench.json.
package result

import (
	"encoding/json"
	"fmt"
	"os"
)

// Result is a run.
type Result struct {
	// Date is the start of the run, in RFC 3339.
	Date string `json:"date"`
	// Seconds is the duration of the run.
	Seconds float64 `json:"seconds"`
	// Quick is set if there were too few rounds for figures to quote.
	Quick   bool    `json:"quick"`
	Machine Machine `json:"machine"`
	Tables  []Table `json:"tables"`
	Claims  []Claim `json:"claims"`
}

// Machine describes the machine of a run.
type Machine struct {
	Kernel   string `json:"kernel"`
	Arch     string `json:"arch"`
	Cores    int    `json:"cores"`
	Go       string `json:"go"`
	Commit   string `json:"commit"`
	RealTime bool   `json:"realTime"`
	Cycles   string `json:"cycles"` // "counted", or the reason why not
}

// Table compares contenders that took turns.
type Table struct {
	// Name identifies the table for the plotter.
	Name  string `json:"name"`
	Title string `json:"title"`
	Unit  string `json:"unit"`
	// Base is the row that ratios refer to, or empty.
	Base string `json:"base,omitempty"`
	// Overhead is the unit of the rows' overhead over Base, or empty if they have none.
	Overhead string `json:"overhead,omitempty"`
	Note     string `json:"note,omitempty"`
	Rows     []Row  `json:"rows"`
}

// Row is a contender in a table.
type Row struct {
	Name  string `json:"name"`
	Value Spread `json:"value"` // in the table's unit
	// Overhead is the difference to the table's base, and Ratio the ratio.
	Overhead *Spread `json:"overhead,omitempty"`
	Ratio    *Spread `json:"ratio,omitempty"`
	Samples  Series  `json:"samples,omitempty"`
}

// Claim is a requirement for the product.
type Claim struct {
	What string `json:"what"`
	// Measured is a ratio, unless Unit is set.
	Measured Spread  `json:"measured"`
	Unit     string  `json:"unit,omitempty"`
	Bound    float64 `json:"bound"`
	// AtLeast is set if Bound is a lower bound.
	AtLeast bool `json:"atLeast,omitempty"`
}

// Met reports whether the median is within the bound.
func (c *Claim) Met() bool {
	if c.AtLeast {
		return c.Measured.Median >= c.Bound
	}
	return c.Measured.Median <= c.Bound
}

// Verdict is the word for that in tables.
func (c *Claim) Verdict() string {
	if c.Met() {
		return "met"
	}
	return "not met"
}

// Limit is the bound with its direction.
func (c *Claim) Limit() string {
	sign := "≤"
	if c.AtLeast {
		sign = "≥"
	}
	return fmt.Sprintf("%s %g%s", sign, c.Bound, c.suffix())
}

func (c *Claim) suffix() string {
	if c.Unit == "" {
		return ""
	}
	return " " + c.Unit
}

// Write writes the run to a file.
func (r *Result) Write(path string) error {
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// Read reads what Write wrote.
func Read(path string) (*Result, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := new(Result)
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// String describes the machine in one line.
func (m Machine) String() string {
	priority := "not real-time"
	if m.RealTime {
		priority = "real-time"
	}
	return fmt.Sprintf("Linux %s, %s, %d cores, %s, %s; senders are %s", m.Kernel, m.Arch, m.Cores, m.Go, m.Commit, priority)
}

// Table returns the table with a name, or nil.
func (r *Result) Table(name string) *Table {
	for i := range r.Tables {
		if r.Tables[i].Name == name {
			return &r.Tables[i]
		}
	}
	return nil
}

// Row returns the row with a name, or nil. A nil Table has none.
func (t *Table) Row(name string) *Row {
	if t == nil {
		return nil
	}
	for i := range t.Rows {
		if t.Rows[i].Name == name {
			return &t.Rows[i]
		}
	}
	return nil
}
