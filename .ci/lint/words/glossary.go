package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// glossary is the list of replaced words.
type glossary []word

// word is one that is not to be used.
type word struct {
	pattern *regexp.Regexp
	instead string
}

// finding is a word in a file.
type finding struct {
	file          string
	line          int // from 1
	text          string
	begin, end    int // in the text of the line
	used, instead string
}

func (f finding) String() string {
	return fmt.Sprintf("%s:%d:%d: %q: use %s", f.file, f.line, f.begin+1, f.used, f.instead)
}

// readGlossary reads lines of the form "REGEXP => REPLACEMENT".
func readGlossary(path string) (words glossary, err error) {
	lines, err := readLines(path)
	for _, line := range lines {
		pattern, instead, ok := strings.Cut(line.text, " => ")
		if !ok {
			return nil, fmt.Errorf("%s:%d: want REGEXP => REPLACEMENT", path, line.number)
		}
		compiled, err := regexp.Compile(`\b(?:` + strings.TrimSpace(pattern) + `)\b`)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, line.number, err)
		}
		words = append(words, word{compiled, strings.TrimSpace(instead)})
	}
	return words, err
}

// line is one of a file.
type line struct {
	number int
	text   string
}

// readLines returns the lines of a file that are neither empty nor comments.
func readLines(path string) (lines []line, err error) {
	text, err := os.ReadFile(path)
	number := 0
	for content := range strings.Lines(string(text)) {
		number++
		if content = strings.TrimSpace(content); content != "" && content[0] != '#' {
			lines = append(lines, line{number, content})
		}
	}
	return lines, err
}

// find returns the words in a file's text.
func (g glossary) find(file, text string) (findings []finding) {
	number := 0
	for content := range strings.Lines(text) {
		number++
		content = strings.TrimRight(content, "\n")
		plain, at := spell(content)
		for _, w := range g {
			for _, match := range w.pattern.FindAllStringIndex(plain, -1) {
				begin, end := at[match[0]], at[match[1]-1]+1
				findings = append(findings, finding{file, number, content, begin, end, content[begin:end], w.instead})
			}
		}
	}
	return findings
}

// spell returns a line in lower-case words, with identifiers split into theirs,
// and the place of each byte in the line.
func spell(line string) (spelled string, at []int) {
	var text []byte
	for i := range len(line) {
		if i > 0 && beginsWord(line, i) {
			text, at = append(text, ' '), append(at, i)
		}
		c := line[i]
		switch {
		case isUpper(c):
			c += 'a' - 'A'
		case c == '_':
			c = ' '
		}
		text, at = append(text, c), append(at, i)
	}
	return string(text), at
}

// beginsWord reports whether a word begins inside an identifier: at the B of aB
// and of ABc, and at a digit's next letter.
func beginsWord(line string, i int) bool {
	if !isUpper(line[i]) {
		return isDigit(line[i-1]) != isDigit(line[i]) && (isLetter(line[i-1]) || isLetter(line[i]))
	}
	before := line[i-1]
	return isLower(before) || isDigit(before) || isUpper(before) && i+1 < len(line) && isLower(line[i+1])
}

func isUpper(c byte) bool  { return 'A' <= c && c <= 'Z' }
func isLower(c byte) bool  { return 'a' <= c && c <= 'z' }
func isLetter(c byte) bool { return isUpper(c) || isLower(c) }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
