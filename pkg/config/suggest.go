package config

import (
	"fmt"
	"strings"
)

// oneOf returns a reader of a word for one of the choices.
func oneOf[T fmt.Stringer](what string, choices ...T) func(*value) (T, error) {
	words := make([]string, len(choices))
	for i, choice := range choices {
		words[i] = choice.String()
	}
	return func(v *value) (T, error) {
		text, _ := v.Text()
		for i, word := range words {
			if text == word {
				return choices[i], nil
			}
		}
		var none T
		return none, fmt.Errorf("%s is not %s (%s)%s", v, what, enumerate(words), didYouMean(text, words))
	}
}

// enumerate returns "a, b or c".
func enumerate(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

func didYouMean(text string, words []string) string {
	if meant := nearest(text, words); meant != "" {
		return fmt.Sprintf(": did you mean %q?", meant)
	}
	return ""
}

// nearest returns the word that text probably stands for, or "".
//
// The word differs only in case, or has up to two typos, or text is its beginning. A short
// text may have fewer typos, so that "sctp" does not suggest "tcp".
func nearest(text string, words []string) string {
	const longest = 32
	if len(text) > longest {
		return ""
	}
	text = strings.ToLower(text)
	best, typos := "", min(2, len(text)/3)
	for _, word := range words {
		lower := strings.ToLower(word)
		if len(text) >= 3 && strings.HasPrefix(lower, text) {
			return word
		}
		if d := distance(text, lower); d <= typos {
			best, typos = word, d-1
		}
	}
	return best
}

// distance is the Levenshtein distance: the number of bytes to insert, delete or replace.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
