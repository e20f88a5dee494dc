package conflist

import (
	"errors"
	"fmt"

	"github.com/xdp-port/xdp-port/pkg/config"
	"github.com/xdp-port/xdp-port/pkg/jsondoc"
	"github.com/xdp-port/xdp-port/pkg/rules"
)

// Remark is an error or a warning at one place of a conflist.
type Remark struct {
	// File is the drop-in; empty for the conflist itself.
	File  string `json:"file,omitempty"`
	Place string `json:"place"`
	jsondoc.Position
	Problem string `json:"problem"`
}

// Validation lists the errors and warnings of a conflist. Positions are in its Text; Locate
// finds the file.
type Validation struct {
	Valid  bool     `json:"valid"`
	Errors []Remark `json:"errors"`
	// MoreErrors counts the errors after the first 20.
	MoreErrors int      `json:"moreErrors"`
	Warnings   []Remark `json:"warnings"`
}

// Validate lists errors and warnings of a conflist. It takes both results of Read, and
// returns an error if the conflist could not be read at all.
func Validate(c *Conflist, err error) (Validation, error) {
	v := Validation{Errors: []Remark{}, Warnings: []Remark{}}
	var e *config.Error
	switch {
	case errors.As(err, &e):
		for _, m := range e.Problems {
			v.Errors = append(v.Errors, Remark{Place: m.Place, Position: m.At, Problem: m.Text})
		}
		v.MoreErrors = e.More
	case err != nil:
		return v, err
	default:
		v.Valid = true
		v.Warnings = append(v.Warnings, c.warnings()...)
	}
	return v, nil
}

// Locate replaces positions in the text by files and positions there.
func (v *Validation) Locate(c *Conflist) {
	for _, remarks := range [][]Remark{v.Errors, v.Warnings} {
		for i := range remarks {
			remarks[i].File, remarks[i].Position = c.DropIn(remarks[i].Position)
		}
	}
}

// warnings finds what is allowed and probably not meant.
func (c *Conflist) warnings() []Remark {
	var warnings []Remark
	for i := range c.Entries {
		entry := &c.Entries[i]
		if i > 0 {
			warnings = append(warnings, Remark{
				Place: fmt.Sprintf("plugins[%d]", entry.Index), Position: entry.At,
				Problem: "a second xdp-port in one network replaces the first: put all rules into one",
			})
		}
		for _, m := range entry.Overwritten {
			warnings = append(warnings, Remark{Place: m.Place, Position: m.At, Problem: m.Text})
		}
		warnings = append(warnings, ruleWarnings(entry)...)
	}
	return warnings
}

// ruleWarnings finds missing rules and rules without effect.
func ruleWarnings(entry *config.Entry) []Remark {
	var warnings []Remark
	place := "rules"
	if entry.Index > 0 {
		place = fmt.Sprintf("plugins[%d].rules", entry.Index)
	}
	if len(entry.Rules) == 0 {
		warnings = append(warnings, Remark{Place: place, Position: entry.At, Problem: "there are no rules: nothing will be attached"})
	}
	for _, u := range rules.FindUnreachable(entry.Rules) {
		warnings = append(warnings, Remark{
			Place: fmt.Sprintf("%s[%d]", place, u.Rule), Position: entry.RuleAt[u.Rule], Problem: unreachable(entry.Rules, u),
		})
	}
	return warnings
}

func unreachable(list []rules.Rule, u rules.Unreachable) string {
	if u.Behind < 0 {
		return fmt.Sprintf("rule %q can never match: the rules before it together match all its packets", list[u.Rule].Name)
	}
	return fmt.Sprintf("rule %q can never match: rule %q before it matches all its packets",
		list[u.Rule].Name, list[u.Behind].Name)
}
