package main

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

// allowed is the list of places where a word is right.
type allowed []*exception

// exception allows what a regular expression matches in some files.
type exception struct {
	line   int
	files  string // a pattern of path.Match, or a folder with a slash at its end
	text   *regexp.Regexp
	isUsed bool
}

// readAllowed reads lines of the form "FILES: REGEXP: REASON".
func readAllowed(name string) (list allowed, err error) {
	lines, err := readLines(name)
	for _, line := range lines {
		files, rest, _ := strings.Cut(line.text, ": ")
		at := strings.LastIndex(rest, ": ")
		if at <= 0 {
			return nil, fmt.Errorf("%s:%d: want FILES: REGEXP: REASON", name, line.number)
		}
		text, err := regexp.Compile(rest[:at])
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, line.number, err)
		}
		if _, err := path.Match(files, ""); err != nil {
			return nil, fmt.Errorf("%s:%d: %s: %w", name, line.number, files, err)
		}
		list = append(list, &exception{line.number, files, text, false})
	}
	return list, err
}

// covers reports whether an exception matches the finding and what is around it.
func (a allowed) covers(f finding) bool {
	for _, e := range a {
		if !e.isAbout(f.file) {
			continue
		}
		for _, match := range e.text.FindAllStringIndex(f.text, -1) {
			if match[0] <= f.begin && f.end <= match[1] {
				e.isUsed = true
				return true
			}
		}
	}
	return false
}

func (e *exception) isAbout(file string) bool {
	if e.files == "*" || strings.HasSuffix(e.files, "/") && strings.HasPrefix(file, e.files) {
		return true
	}
	matches, _ := path.Match(e.files, file) // the pattern is checked when it is read
	return matches
}

// unused returns the exceptions that nothing needed.
func (a allowed) unused() (list []*exception) {
	for _, e := range a {
		if !e.isUsed {
			list = append(list, e)
		}
	}
	return list
}
